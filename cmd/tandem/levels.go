package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

// levelFlags are the settings that are objects, keys as in a file: they are
// given as JSON.
type levelFlags struct{ failover, health string }

func (l *levelFlags) addTo(cmd *cobra.Command, whose string) {
	f := cmd.Flags()
	f.StringVar(&l.failover, "failover", "", "how calls of "+whose+" fail over: a JSON object, keys as in a config; null for nothing of its own")
	f.StringVar(&l.health, "health", "", "how its hosts are probed, likewise")
}

// objects are the settings for something new.
func (l *levelFlags) objects() (failover, health json.RawMessage, err error) {
	if failover, err = parseObject("failover", l.failover); err != nil {
		return nil, nil, err
	}
	health, err = parseObject("health", l.health)
	return failover, health, err
}

// patch adds the settings that are given to a patch (RFC 7396).
func (l *levelFlags) patch(cmd *cobra.Command, patch map[string]any) error {
	failover, health, err := l.objects()
	if err != nil {
		return err
	}
	for name, value := range map[string]json.RawMessage{"failover": failover, "health": health} {
		if cmd.Flags().Changed(name) {
			patch[name] = value // nil is null
		}
	}
	return nil
}

// parseObject reads a JSON object, or null, of the flag of that name.
func parseObject(name, text string) (json.RawMessage, error) {
	if text == "" || text == "null" {
		return nil, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		return nil, fmt.Errorf(`--%s: %q is no JSON object like {"key": "value"}: %w`, name, text, err)
	}
	return json.RawMessage(text), nil
}
