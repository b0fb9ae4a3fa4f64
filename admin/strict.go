package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/config/catalog"
)

// mostDepth is how deep JSON may be nested. No value that is known is as deep.
const mostDepth = 16

// mostEntries is how many a list or an object may have: what is known to be too
// much is not looked through.
const mostEntries = mostNumbers

// decodeJSON reads one value, strictly: no fields that value does not have, none
// twice, none in another case; no null in a list; nothing behind it. What is
// wrong is told in the words of whoever wrote the text.
func decodeJSON(text []byte, value any) *Failure {
	if !utf8.Valid(text) {
		return fail(http.StatusBadRequest, "the body is not UTF-8")
	}
	c := checker{json.NewDecoder(bytes.NewReader(text))}
	c.UseNumber()
	if f := c.value("", reflect.TypeOf(value).Elem(), 0); f != nil {
		if f.Field == "" && strings.HasPrefix(f.Text, "is ") {
			f.Text = "the body " + f.Text
		}
		return f
	}
	if _, err := c.Token(); !errors.Is(err, io.EOF) {
		return fail(http.StatusBadRequest, "the body has more behind its JSON value")
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fail(http.StatusBadRequest, "the body cannot be read as JSON")
	}
	return nil
}

// checker holds a JSON text against a type.
type checker struct{ *json.Decoder }

var rawJSON = reflect.TypeFor[json.RawMessage]()

// value checks the next value; t is nil where any is right.
func (c checker) value(path string, t reflect.Type, depth int) *Failure {
	if depth > mostDepth {
		return invalid(path, "is nested deeper than %d levels", mostDepth)
	}
	token, f := c.token()
	if f != nil {
		return f
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == rawJSON { // a block of settings, which those who know them check
		if token != json.Delim('{') && token != nil {
			return invalid(path, "is %s; write an object", kindOf(token))
		}
		t = nil
	}
	switch token {
	case json.Delim('{'):
		return c.object(path, t, depth)
	case json.Delim('['):
		return c.list(path, t, depth)
	}
	absent := token == nil && path != "" && !strings.HasSuffix(path, "]") // null is as if it were not there
	if t == nil || absent {
		return nil
	}
	return c.scalar(path, t, token)
}

func (c checker) scalar(path string, t reflect.Type, token json.Token) *Failure {
	ok := false
	switch given := token.(type) {
	case string:
		ok = t.Kind() == reflect.String
	case bool:
		ok = t.Kind() == reflect.Bool
	case json.Number:
		if t.Kind() == reflect.Int {
			if _, err := strconv.ParseInt(given.String(), 10, strconv.IntSize); err != nil {
				return invalid(path, "is %s; write a whole number", printed(given.String()))
			}
			ok = true
		}
	}
	if !ok {
		return invalid(path, "is %s; write %s", kindOf(token), wanted(t))
	}
	return nil
}

func (c checker) object(path string, t reflect.Type, depth int) *Failure {
	var fields map[string]reflect.Type
	var each reflect.Type // of a map
	switch {
	case t == nil:
	case t.Kind() == reflect.Struct:
		fields = make(map[string]reflect.Type)
		fieldsOf(t, fields)
	case t.Kind() == reflect.Map:
		each = t.Elem()
	default:
		return invalid(path, "is an object; write %s", wanted(t))
	}
	seen := make(map[string]bool)
	for c.More() {
		token, f := c.token()
		if f != nil {
			return f
		}
		name, _ := token.(string) // the decoder sees to it
		at := child(path, name)
		if seen[name] {
			return invalid(at, "is given twice")
		}
		if len(seen) == mostEntries {
			return invalid(path, "has more than %d fields", mostEntries)
		}
		seen[name] = true
		of := each
		if fields != nil {
			var ok bool
			if of, ok = fields[name]; !ok {
				return unknownField(at, name, fields)
			}
		}
		if f := c.value(at, of, depth+1); f != nil {
			return f
		}
	}
	_, f := c.token() // the end
	return f
}

func (c checker) list(path string, t reflect.Type, depth int) *Failure {
	var each reflect.Type
	switch {
	case t == nil:
	case t.Kind() == reflect.Slice:
		each = t.Elem()
	default:
		return invalid(path, "is a list; write %s", wanted(t))
	}
	for i := 0; c.More(); i++ {
		if i == mostEntries {
			return invalid(path, "has too many entries; at most %d are taken at a time: send them in parts", mostEntries)
		}
		if f := c.value(fmt.Sprintf("%s[%d]", path, i), each, depth+1); f != nil {
			return f
		}
	}
	_, f := c.token()
	return f
}

// token is the next part of the text.
func (c checker) token() (json.Token, *Failure) {
	token, err := c.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fail(http.StatusBadRequest, "the body ends before its JSON value does")
	case errors.As(err, &syntax):
		return nil, fail(http.StatusBadRequest, "the body is not JSON: %s, at byte %d", syntax, c.InputOffset())
	}
	return nil, fail(http.StatusBadRequest, "the body is not JSON, at byte %d", c.InputOffset())
}

// fieldsOf adds the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type, fields map[string]reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			fieldsOf(field.Type, fields)
		case name != "" && name != "-":
			fields[name] = field.Type
		}
	}
}

func unknownField(path, name string, fields map[string]reflect.Type) *Failure {
	var known []string
	for field := range fields {
		known = append(known, field)
	}
	slices.Sort(known)
	if near := catalog.Nearest(name, known); near != "" {
		return invalid(path, "is unknown; did you mean %q?", near)
	}
	return invalid(path, "is unknown; known are %s", strings.Join(known, ", "))
}

func kindOf(token json.Token) string {
	switch token.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case nil:
		return "null"
	}
	if token == json.Delim('{') {
		return "an object"
	}
	return "a list"
}

// wanted is what a type is to whoever writes JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// child is the path of a field.
func child(path, name string) string {
	if name = printed(name); path != "" {
		return path + "." + name
	}
	return name
}
