package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// nodeError is what a node says against a request, word for word.
type nodeError struct {
	Status   int      `json:"-"`
	Text     string   `json:"error"`
	Field    string   `json:"field"`    // of what was sent
	Blocking []string `json:"blocking"` // what is in the way
	Code     string   `json:"code"`
}

// refusalOf reads the answer of a node that did not do what it was asked.
func refusalOf(res *http.Response, text []byte) *nodeError {
	e := &nodeError{}
	if !isJSON(res) || json.Unmarshal(text, e) != nil || e.Text == "" {
		e = &nodeError{Text: fmt.Sprintf("%s: %s", res.Status, bytes.TrimSpace(text[:min(len(text), 4<<10)]))}
	}
	e.Status = res.StatusCode
	return e
}

func (e *nodeError) Error() string {
	text := e.Text
	if e.Field != "" && !strings.HasPrefix(text, e.Field) {
		text = e.Field + ": " + text
	}
	text = printable(text)
	var others []string
	for _, b := range e.Blocking {
		if !strings.Contains(e.Text, b) { // else it is named already
			others = append(others, printable(b))
		}
	}
	if len(others) > 0 {
		text += "\nin the way: " + strings.Join(others, ", ")
	}
	if e.Status == http.StatusUnauthorized {
		text += "\ngive the key by --key-file FILE, or in $" + keyEnv
	}
	return text
}

func isJSON(res *http.Response) bool {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}
