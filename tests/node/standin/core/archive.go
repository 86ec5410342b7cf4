package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// archive is one of [HISTORY.name], or the HISTORY of a validator.
type archive struct {
	name, get, put, mkdir string
}

func (a archive) readable() bool { return a.get != "" }
func (a archive) writable() bool { return a.get != "" && a.put != "" }

// history reads [HISTORY].
func (c *config) history() error {
	raw, given := c.table["HISTORY"]
	if !given {
		return nil
	}
	tables, ok := raw.(map[string]any)
	if !ok {
		return errors.New("incomplete HISTORY block")
	}
	for _, name := range sortedKeys(tables) {
		table, ok := tables[name].(map[string]any)
		if !ok {
			return errors.New("malformed HISTORY config block")
		}
		one := archive{name: name}
		for _, key := range sortedKeys(table) {
			fields := map[string]*string{"get": &one.get, "put": &one.put, "mkdir": &one.mkdir}
			field, known := fields[key]
			if !known {
				return fmt.Errorf("Unknown HISTORY-table entry: '%s', within [HISTORY.%s]", key, name)
			}
			if *field, ok = table[key].(string); !ok {
				return errors.New("bad HISTORY command")
			}
		}
		if err := c.addArchive(one); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) addArchive(one archive) error {
	for _, other := range c.archives {
		if other.name == one.name {
			return fmt.Errorf("Conflicting archive name '%s'", one.name)
		}
	}
	c.archives = append(c.archives, one)
	return nil
}

// publishes tells whether the node writes to an archive.
func (c *config) publishes() bool {
	for _, one := range c.archives {
		if one.writable() {
			return true
		}
	}
	return false
}

// sensibleArchives checks what `run` demands of the archives (`checkSensibleConfig`).
func (c *config) sensibleArchives() bool {
	sensible, readable := true, false
	for _, one := range c.archives {
		switch {
		case one.get == "" && one.put == "":
			fatal("History", "Archive '%s' has no 'get' or 'put' command, will not function", one.name)
			sensible = false
		case one.get == "":
			fatal("History", "Archive '%s' has 'put' but no 'get' command, will be unwritable", one.name)
			sensible = false
		case one.put != "":
			info("History", "Archive '%s' has 'put' and 'get' commands, will be read and written", one.name)
			readable = true
		default:
			info("History", "Archive '%s' has 'get' command only, will not be written", one.name)
			readable = true
		}
	}
	switch {
	case !readable && c.standalone:
		info("History", "No readable archives configured.")
	case !readable:
		fatal("History", "No readable archives configured, catchup will fail.")
		sensible = false
	}
	if !c.publishes() {
		warning("History", "No writable archives configured, history will not be written.")
	}
	if !sensible {
		failure("History", "History archives misconfigured.")
	}
	return sensible
}

// pick chooses a readable archive at random; it prefers those that the node does not write to.
func (c *config) pick() (archive, bool) {
	var readOnly, readable []archive
	for _, one := range c.archives {
		if one.readable() {
			readable = append(readable, one)
			if one.put == "" {
				readOnly = append(readOnly, one)
			}
		}
	}
	if len(readOnly) > 0 {
		readable = readOnly
	}
	if len(readable) == 0 {
		return archive{}, false
	}
	return readable[rand.IntN(len(readable))], true
}

// format fills a command's `{0}`, `{1}` and `{}` as the fmt library does; `{{` and `}}` are braces.
func format(template string, args ...string) (string, error) {
	var out strings.Builder
	next := 0
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c != '{' && c != '}':
			out.WriteByte(c)
		case i+1 < len(template) && template[i+1] == c:
			out.WriteByte(c)
			i++
		case c == '}':
			return "", unformatted(template, "unmatched '}' in format string")
		default:
			end := strings.IndexByte(template[i:], '}')
			if end < 0 {
				return "", unformatted(template, "invalid format string")
			}
			index, name := -1, template[i+1:i+end]
			if name == "" {
				index, next = next, next+1
			} else if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
				index = int(name[0] - '0')
			}
			if index < 0 || index >= len(args) {
				return "", unformatted(template, "argument not found")
			}
			out.WriteString(args[index])
			i += end
		}
	}
	return out.String(), nil
}

func unformatted(template, why string) error {
	failure("History", `Failed to format string "%s":%s`, template, why)
	failure("History", "Check your HISTORY entry in configuration file")
	return errors.New("failed to format command string")
}
