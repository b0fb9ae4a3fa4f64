package admin

import (
	"encoding/base64"
	"strings"
)

// A NextToken is opaque to clients: where in a list to go on, and for which
// question it was given.

func token(text string) string {
	if text == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte("1:" + text))
}

func tokenText(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", badToken()
	}
	rest, ok := strings.CutPrefix(string(text), "1:")
	if !ok || rest == "" {
		return "", badToken()
	}
	return rest, nil
}

func badToken() error { return invalid("NextToken", "is not one that was given here for this list") }
