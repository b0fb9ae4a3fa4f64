package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"tandem/config/inventory"
)

// apiDoc is what the test reads of openapi.json.
type apiDoc struct {
	OpenAPI    string
	Paths      map[string]map[string]apiOperation
	Components struct {
		Schemas    map[string]*apiSchema
		Responses  map[string]apiResponse
		Parameters map[string]apiParameter
	}
}

type apiOperation struct {
	OperationID string
	Parameters  []apiParameter
	RequestBody struct{ Content map[string]apiContent }
	Responses   map[string]apiResponse
}

type apiParameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Example  any
	Schema   *apiSchema
}

type apiContent struct {
	Schema   *apiSchema
	Examples map[string]struct{ Value json.RawMessage }
}

type apiResponse struct {
	Ref     string `json:"$ref"`
	Content map[string]apiContent
}

type apiSchema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Enum                 []any
	Properties           map[string]*apiSchema
	Required             []string
	Items                *apiSchema
	AdditionalProperties any
}

func readDoc(t *testing.T) *apiDoc {
	doc := &apiDoc{}
	require.NoError(t, json.Unmarshal(openAPI, doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	return doc
}

// Each route is in the document, and the other way round.
func TestOpenAPIHasEachRoute(t *testing.T) {
	opts := options(t)
	s := &Server{}
	access := newAccess(&opts)
	all := s.pages(prometheus.NewRegistry(), &opts, access, newCallsPage(opts.Router), newEventsPage(opts.Events))
	var registered, described []string
	for _, pattern := range all.patterns {
		if _, path, _ := strings.Cut(pattern, " "); !chimePath(path) {
			registered = append(registered, pattern)
		}
	}
	ids := make(map[string]bool)
	for path, operations := range readDoc(t).Paths {
		for method, o := range operations {
			described = append(described, strings.ToUpper(method)+" "+path)
			require.False(t, ids[o.OperationID], o.OperationID)
			ids[o.OperationID] = true
			for segment := range strings.SplitSeq(path, "/") {
				if name, ok := strings.CutPrefix(segment, "{"); ok {
					name = strings.TrimSuffix(name, "}")
					require.True(t, slices.ContainsFunc(o.Parameters, func(p apiParameter) bool { return p.In == "path" && p.Name == name }), "%s %s", method, path)
				}
			}
		}
	}
	require.ElementsMatch(t, registered, described)
	require.NotEmpty(t, registered)
}

// Each example is accepted, and what is answered is as it is described.
func TestOpenAPIExamples(t *testing.T) {
	doc := readDoc(t)
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method, operation := range doc.Paths[path] {
			if path == "/v1/events" { // has no end
				continue
			}
			bodies := map[string]string{"": ""}
			kinds := map[string]string{}
			for kind, content := range operation.RequestBody.Content {
				for name, example := range content.Examples {
					text := string(example.Value)
					if kind != "application/json" && !strings.HasSuffix(kind, "+json") {
						require.NoError(t, json.Unmarshal(example.Value, &text))
					}
					bodies[kind+" "+name], kinds[kind+" "+name] = text, kind
				}
			}
			if len(bodies) > 1 {
				delete(bodies, "")
			}
			for name, body := range bodies {
				for _, query := range queriesOf(doc, operation) {
					t.Run(fmt.Sprintf("%s %s %s %s", strings.ToUpper(method), path, name, query), func(t *testing.T) {
						o := newOffice(t)
						req, err := http.NewRequest(strings.ToUpper(method), "http://"+o.addr+filled(path, operation)+query, strings.NewReader(body))
						require.NoError(t, err)
						if kinds[name] != "" {
							req.Header.Set("Content-Type", kinds[name])
						}
						res, err := http.DefaultClient.Do(req)
						require.NoError(t, err)
						text, err := io.ReadAll(res.Body)
						require.NoError(t, err)
						require.NoError(t, res.Body.Close())
						described, ok := operation.Responses[strconv.Itoa(res.StatusCode)]
						require.True(t, ok && res.StatusCode < 300 || path == "/readyz", "%d: %s", res.StatusCode, text)
						doc.holds(t, described, res.Header.Get("Content-Type"), text)
					})
				}
			}
		}
	}
}

// filled is a path with its examples.
func filled(path string, o apiOperation) string {
	for _, p := range o.Parameters {
		if p.In == "path" {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(p.Example)))
		}
	}
	return path
}

// queriesOf are queries of the examples: those that are needed, each of the others, and a
// dry run.
func queriesOf(doc *apiDoc, o apiOperation) (queries []string) {
	needed := url.Values{}
	var others []url.Values
	for _, p := range o.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = doc.Components.Parameters[name]
		}
		switch {
		case p.In != "query":
		case p.Required:
			needed.Set(p.Name, fmt.Sprint(p.Example))
		case p.Name == "dry_run":
			others = append(others, url.Values{p.Name: {"true"}})
		case p.Example != nil:
			others = append(others, url.Values{p.Name: {fmt.Sprint(p.Example)}})
		}
	}
	for _, other := range append(others, url.Values{}) {
		maps.Copy(other, needed)
		query := other.Encode()
		if query != "" {
			query = "?" + query
		}
		queries = append(queries, query)
	}
	return queries
}

// holds is whether an answer is as it is described.
func (d *apiDoc) holds(t *testing.T, r apiResponse, kind string, text []byte) {
	content, ok := r.Content["application/json"]
	if !ok {
		return
	}
	require.Equal(t, "application/json", kind)
	var value any
	require.NoError(t, json.NewDecoder(bytes.NewReader(text)).Decode(&value))
	require.NoError(t, d.check(content.Schema, value, "answer"))
}

// check is what of JSON Schema the document uses, and that an object has nothing
// that is not described.
func (d *apiDoc) check(s *apiSchema, value any, at string) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.check(d.Components.Schemas[name], value, at)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		return fmt.Errorf("%s is %v", at, value)
	}
	types, _ := s.Type.([]any)
	if one, ok := s.Type.(string); ok {
		types = []any{one}
	}
	if got := typeOf(value); len(types) > 0 && !slices.Contains(types, any(got)) && (got != "integer" || !slices.Contains(types, any("number"))) {
		return fmt.Errorf("%s is %s and not %v", at, got, types)
	}
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			if err := d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := value[name]; !ok {
				return fmt.Errorf("%s has no %s", at, name)
			}
		}
		if s.Properties == nil {
			return nil
		}
		for name, inner := range value {
			of, ok := s.Properties[name]
			if !ok {
				return fmt.Errorf("%s.%s is not described", at, name)
			}
			if err := d.check(of, inner, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

// What connectors, groups and their parts can have is described, and no more.
func TestOpenAPIHasEachField(t *testing.T) {
	doc := readDoc(t)
	for name, value := range map[string]any{
		"ConnectorSpec": inventory.ConnectorSpec{}, "ConnectorPatch": inventory.ConnectorSpec{}, "Connector": ManagedConnector{},
		"GroupSpec": inventory.GroupSpec{}, "GroupPatch": inventory.GroupSpec{}, "Group": ManagedGroup{},
		"Host": inventory.HostSpec{}, "Member": inventory.Member{},
	} {
		require.ElementsMatch(t, jsonFields(reflect.TypeOf(value)), slices.Collect(maps.Keys(doc.Components.Schemas[name].Properties)), name)
	}
}

// jsonFields are the names of a struct's fields in JSON, with those that it embeds.
func jsonFields(of reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Errors are as they are described too.
func TestOpenAPIErrors(t *testing.T) {
	doc := readDoc(t)
	for _, f := range []*Failure{invalid("name", "x"), fail(http.StatusTooManyRequests, "x"), {Text: "x", Blocking: []string{"y"}, Code: "in_use", status: 409}} {
		w := httptest.NewRecorder()
		f.answer(w, httptest.NewRequest(http.MethodGet, "/v1/groups", nil))
		var value any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &value))
		require.NoError(t, doc.check(doc.Components.Schemas["Error"], value, "error"))
	}
	for status, code := range codes {
		require.Contains(t, doc.Components.Schemas["Error"].Properties["code"].Enum, any(code), status)
	}
}
