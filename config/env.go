package config

import (
	"fmt"
	"strings"
)

// expand replaces each ${NAME} of a text by the variable's value; $${ stands
// for ${ itself. A value is not expanded again. A nil env has no variables, for
// texts of clients, who are to learn nothing of the environment.
func expand(text string, env func(string) (string, bool)) (expanded string, problems []string) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), problems
		}
		if head, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(head + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !variable(name) {
			problems = append(problems, `"${" without a variable's name and "}"; write ${NAME}, or $${ for the characters themselves`)
			text = rest
			continue
		}
		if env == nil {
			problems = append(problems, fmt.Sprintf("the variable %s is not looked up for a client; write its value, or $${ for the characters themselves", name))
			text = after
			continue
		}
		value, set := env(name)
		if !set {
			problems = append(problems, fmt.Sprintf("the variable %s is not set; set it in the environment", name))
		}
		b.WriteString(value)
		text = after
	}
}

// variable reports whether name is one of an environment variable.
func variable(name string) bool {
	for i, r := range name {
		switch {
		case r == '_', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', i > 0 && '0' <= r && r <= '9':
		default:
			return false
		}
	}
	return name != ""
}
