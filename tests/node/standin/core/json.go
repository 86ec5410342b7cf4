package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// styled writes a value as jsoncpp's toStyledString does: sorted keys, three spaces, short lists on one line.
func styled(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf(`{"exception": "%v"}`, err)
	}
	var plain any
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&plain); err != nil {
		return fmt.Sprintf(`{"exception": "%v"}`, err)
	}
	var out strings.Builder
	style(&out, plain, "")
	out.WriteByte('\n')
	return out.String()
}

// lineWidth is the length of the longest list that jsoncpp leaves on one line.
const lineWidth = 74

func style(out *strings.Builder, value any, indent string) {
	deeper := indent + "   "
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			out.WriteString("{}")
			return
		}
		out.WriteByte('{')
		for i, key := range sortedKeys(value) {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "\n%s%s : ", deeper, scalar(key))
			style(out, value[key], deeper)
		}
		fmt.Fprintf(out, "\n%s}", indent)
	case []any:
		if line, short := oneLine(value); short {
			out.WriteString(line)
			return
		}
		out.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "\n%s", deeper)
			style(out, item, deeper)
		}
		fmt.Fprintf(out, "\n%s]", indent)
	default:
		out.WriteString(scalar(value))
	}
}

// oneLine returns a list on one line, if it fits there and holds no objects or lists.
func oneLine(items []any) (string, bool) {
	if len(items) == 0 {
		return "[]", true
	}
	var words []string
	for _, item := range items {
		switch item.(type) {
		case map[string]any, []any:
			return "", false
		}
		words = append(words, scalar(item))
	}
	line := "[ " + strings.Join(words, ", ") + " ]"
	return line, len(line) <= lineWidth
}

func scalar(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}
