package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
)

func TestDecodeJSON(t *testing.T) {
	for text, want := range map[string]string{
		``:                                    "the body ends before its JSON value does",
		` `:                                   "the body ends before its JSON value does",
		`{"name": "a"`:                        "the body ends before its JSON value does",
		`{"name": "a`:                         "the body ends before its JSON value does",
		`{"name": `:                           "the body ends before its JSON value does",
		`{"hosts": [{"uri"`:                   "the body ends before its JSON value does",
		`{"name": "a"} {}`:                    "the body has more behind its JSON value",
		`{"name": "a"}x`:                      "the body has more behind its JSON value",
		`{name: "a"}`:                         "the body is not JSON: invalid character 'n', at byte 1",
		`{"name": "a",}`:                      "the body is not JSON",
		`{"name" "a"}`:                        "the body is not JSON",
		`{"hosts": [1}`:                       "hosts[0]: is a number; write an object",
		`{"hosts": []]`:                       "the body is not JSON",
		"{\"name\": \"\xff\"}":                "the body is not UTF-8",
		`null`:                                "the body is null; write an object",
		`[]`:                                  "the body is a list; write an object",
		`"x"`:                                 "the body is a text; write an object",
		`{"name": 1}`:                         "name: is a number; write a text",
		`{"name": ["a"]}`:                     "name: is a list; write a text",
		`{"name": {}}`:                        "name: is an object; write a text",
		`{"hosts": {}}`:                       "hosts: is an object; write a list",
		`{"hosts": [null]}`:                   "hosts[0]: is null; write an object",
		`{"hosts": [{"uri": true}]}`:          "hosts[0].uri: is true or false; write a text",
		`{"hosts": [{}, {"weight": "1"}]}`:    "hosts[1].weight: is a text; write a whole number",
		`{"max_calls": 1.5}`:                  "max_calls: is 1.5; write a whole number",
		`{"max_calls": 1e3}`:                  "max_calls: is 1e3; write a whole number",
		`{"max_calls": 99999999999999999999}`: "max_calls: is 99999999999999999999; write a whole number",
		`{"failover": 1}`:                     "failover: is a number; write an object",
		`{"failover": []}`:                    "failover: is a list; write an object",
		`{"nam": "a"}`:                        `nam: is unknown; did you mean "name"?`,
		`{"Name": "a"}`:                       `Name: is unknown; did you mean "name"?`,
		`{"numbers": []}`:                     `numbers: is unknown; did you mean "number"?`,
		`{"id": "x"}`:                         `id: is unknown; known are failover, health, hosts`,
		`{"hosts": [{"url": "x"}]}`:           `hosts[0].url: is unknown; did you mean "uri"?`,
		`{"name": "a", "name": "b"}`:          "name: is given twice",
		`{"name": "a", "n\u0061me": "b"}`:     "name: is given twice",
		`{"health": {"probe": true, "probe": false}}`:                                         "health.probe: is given twice",
		`{"failover": ` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`: "is nested deeper than 16 levels",
		`{"failover": {"a": ` + strings.Repeat(`[`, 100_000):                                  "is nested deeper than 16 levels",
		strings.Repeat(`[`, 100_000):                                                          "is a list; write an object",
	} {
		var spec inventory.ConnectorSpec
		f := decodeJSON([]byte(text), &spec)
		require.NotNil(t, f, text)
		require.Contains(t, f.Error(), want, text)
		require.Less(t, len(f.Error()), 400)
	}
	var spec inventory.ConnectorSpec
	require.Nil(t, decodeJSON([]byte(` {"name": "a", "region": null, "hosts": [{"uri": "x", "priority": 2}], "failover": {"codes": [408, null]}, "health": null} `), &spec))
	require.Equal(t, inventory.ConnectorSpec{
		Name: "a", Hosts: []inventory.HostSpec{{URI: "x", Priority: 2}}, Failover: json.RawMessage(`{"codes": [408, null]}`), Health: spec.Health,
	}, spec)
	var ranking map[string]int
	require.Nil(t, decodeJSON([]byte(`{"east": 1}`), &ranking))
	require.Equal(t, map[string]int{"east": 1}, ranking)
	require.Equal(t, "east: is a text; write a whole number", decodeJSON([]byte(`{"east": "1"}`), &ranking).Error())
}

// What has far too much is not looked through to its end.
func TestDecodeJSONStops(t *testing.T) {
	var fields strings.Builder
	for i := range mostEntries {
		fmt.Fprintf(&fields, `"x%d": 1, `, i)
	}
	for text, want := range map[string]string{
		`{"hosts": [` + strings.Repeat(`{},`, mostEntries) + `{}]}`: "hosts: has too many entries; at most 10000 are taken at a time: send them in parts",
		`{"failover": {` + fields.String() + `"more": 1}}`:          "failover: has more than 10000 fields",
	} {
		var spec inventory.ConnectorSpec
		require.EqualError(t, decodeJSON([]byte(text), &spec), want)
	}
}

// RFC 7396, appendix A, as far as its targets are objects.
func TestMergePatch(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":"foo"}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
	} {
		target, err := objectOf([]byte(c[0]))
		require.NoError(t, err)
		patch, err := objectOf([]byte(c[1]))
		require.NoError(t, err)
		got, err := json.Marshal(merged(target, patch))
		require.NoError(t, err)
		require.JSONEq(t, c[2], string(got), c[1])
	}
}
