package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tandem/config/inventory"
)

// entity is a group or a connector as a node tells it.
type entity json.RawMessage

// UnmarshalJSON takes whatever comes.
func (o *entity) UnmarshalJSON(text []byte) error {
	*o = append((*o)[:0], text...)
	return nil
}

// MarshalJSON is what came.
func (o entity) MarshalJSON() ([]byte, error) { return o, nil }

// into reads what is known of the entity.
func (o entity) into(value any) error {
	if err := json.Unmarshal(o, value); err != nil {
		return fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	return nil
}

func (o entity) name() string {
	var named struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal(o, &named) // without a name it is not found
	return named.Name
}

// recentCalls is the line that says how many of the recent calls a change that
// was tried dry is about; nothing when the node does not know.
func (o entity) recentCalls() string {
	var preview struct {
		RecentCalls *int `json:"recent_calls"`
	}
	if json.Unmarshal(o, &preview) != nil || preview.RecentCalls == nil {
		return ""
	}
	return fmt.Sprintf("  recent calls to it: %d\n", *preview.RecentCalls)
}

// differences lists the settings in which two states of something differ, a line
// for each. Before may be nil: it was not there.
func differences(before, after entity) string {
	was, is := settingsOf(before), settingsOf(after)
	if before == nil {
		delete(is, "name") // that is said already
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(mergeKeys(was, is))) {
		switch {
		case was[key] == is[key]:
		case before == nil:
			fmt.Fprintf(&b, "  %s: %s\n", key, is[key])
		default:
			fmt.Fprintf(&b, "  %s: %s -> %s\n", key, orNone(was[key]), orNone(is[key]))
		}
	}
	return b.String()
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func mergeKeys(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// settingsOf has the settings of something as texts, without what the store
// knows beside them.
func settingsOf(o entity) map[string]string {
	fields, texts := make(map[string]json.RawMessage), make(map[string]string)
	_ = json.Unmarshal(o, &fields) // without fields there is nothing to tell
	for _, meta := range []string{"id", "revision", "created", "updated", "numbers", "dry_run", "recent_calls"} {
		delete(fields, meta)
	}
	for key, value := range fields {
		texts[key] = settingText(key, value)
	}
	return texts
}

// settingText writes a setting for people: rankings and hosts as their commands
// take them, what is not set as nothing, and the rest as JSON.
func settingText(key string, value json.RawMessage) string {
	var members []inventory.Member
	var hosts []inventory.HostSpec
	var word string
	switch {
	case string(value) == "null" || string(value) == "[]" || string(value) == "{}":
		return ""
	case key == "connectors" && json.Unmarshal(value, &members) == nil:
		return rankingText(members)
	case key == "hosts" && json.Unmarshal(value, &hosts) == nil:
		return hostsText(hosts)
	case json.Unmarshal(value, &word) == nil:
		return printable(word)
	}
	var short bytes.Buffer
	if json.Compact(&short, value) != nil {
		return printable(string(value))
	}
	return printable(short.String())
}
