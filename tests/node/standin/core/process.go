package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// runCommand runs a command line as stellar-core does: without a shell, split at white space, found in PATH. Its output
// goes into the log. An empty line succeeds at once.
func runCommand(ctx context.Context, line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	output, err := command.CombinedOutput()
	if text := strings.TrimSpace(string(output)); text != "" {
		info("Process", "%s", text)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code := 127
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	warning("Process", "process %d exited %d: %s", pid(command), code, line)
	if code == 127 {
		for _, text := range []string{"", "************", "", "  likely 'missing command':", "", "    " + line, "", "************", ""} {
			warning("Process", "%s", text)
		}
	}
	return err
}

func pid(command *exec.Cmd) int {
	if command.Process == nil {
		return -1
	}
	return command.Process.Pid
}

// getFile fetches a file of an archive.
func (a archive) getFile(ctx context.Context, remote, local string) error {
	line, err := format(a.get, remote, local)
	if err != nil {
		return err
	}
	if err := runCommand(ctx, line); err != nil {
		warning("History", "Could not download file: archive %s maybe missing file %s", a.name, remote)
		return err
	}
	return nil
}

// putFile creates the directory of a file in an archive and writes the file there.
func (a archive) putFile(ctx context.Context, local, directory, name string) error {
	if a.mkdir != "" {
		line, err := format(a.mkdir, directory)
		if err != nil {
			return err
		}
		if err := runCommand(ctx, line); err != nil {
			return err
		}
	}
	line, err := format(a.put, local, directory+"/"+name)
	if err != nil {
		return err
	}
	return runCommand(ctx, line)
}

// formats tells whether each command can be filled in.
func (a archive) formats() error {
	for _, command := range []struct {
		template string
		args     []string
	}{{a.get, []string{"remote", "local"}}, {a.put, []string{"local", "remote"}}, {a.mkdir, []string{"directory"}}} {
		if _, err := format(command.template, command.args...); err != nil {
			return err
		}
	}
	return nil
}
