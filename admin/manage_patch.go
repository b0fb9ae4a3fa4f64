package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// readPatch reads a merge patch (RFC 7396) of a T. Its fields have the types of
// those of a T, or are null.
func readPatch[T any](r *http.Request) (map[string]any, error) {
	text, f := bodyOf(r, mostBody)
	if f != nil {
		return nil, f
	}
	var fields T
	if f := decodeJSON(text, &fields); f != nil {
		return nil, f
	}
	return objectOf(text)
}

// patched is a spec with a patch.
func patched[T any](spec T, patch map[string]any) (T, error) {
	var next T
	text, err := json.Marshal(spec)
	if err != nil {
		return next, err
	}
	whole, err := objectOf(text)
	if err != nil {
		return next, err
	}
	if text, err = json.Marshal(merged(whole, patch)); err != nil {
		return next, err
	}
	return next, json.Unmarshal(text, &next)
}

func objectOf(text []byte) (object map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return object, d.Decode(&object)
}

// merged is RFC 7396 section 2.
func merged(target, patch map[string]any) map[string]any {
	if target == nil {
		target = make(map[string]any)
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			inner, _ := target[name].(map[string]any)
			target[name] = merged(inner, value)
		default:
			target[name] = value
		}
	}
	return target
}
