package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"tandem/admin"
)

// giveOrder orders something of a node, and returns its answer, also as it came.
func giveOrder(ctx context.Context, q *orderQuery) (*admin.OrderAnswer, []byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, nil, err
	}
	a := new(admin.OrderAnswer)
	text, err := askJSON(ctx, http.MethodPost, q.admin, q.path+url.PathEscape(q.name)+"/"+q.verb, body, a)
	return a, text, err
}

// givenOrders are the orders in force at a node.
func givenOrders(ctx context.Context, at string) (*admin.OrderList, []byte, error) {
	list := new(admin.OrderList)
	text, err := askJSON(ctx, http.MethodGet, at, "/v1/orders", nil, list)
	return list, text, err
}

// askJSON sends a request to the admin address of a node and reads its answer
// into value. What the node says against it is the error, word for word.
func askJSON(ctx context.Context, method, at, path string, body []byte, value any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at = adminURL(at)
	req, err := http.NewRequestWithContext(ctx, method, at+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := adminClient().Do(req)
	if err != nil {
		return nil, unreachable(at, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return nil, unreachable(at, err)
	}
	isJSON := res.Header.Get("Content-Type") == "application/json"
	switch {
	case res.StatusCode == http.StatusOK && isJSON:
		if err := json.Unmarshal(text, value); err != nil {
			return nil, fmt.Errorf("the node's answer cannot be read: %w", err)
		}
		return text, nil
	case res.StatusCode == http.StatusOK, res.StatusCode == http.StatusNotFound && !isJSON:
		return nil, noSuchPage(at, path)
	}
	refusal := admin.OrderRefusal{}
	if !isJSON || json.Unmarshal(text, &refusal) != nil || refusal.Text == "" {
		refusal.Text = fmt.Sprintf("%s: %s", res.Status, bytes.TrimSpace(text[:min(len(text), 4<<10)]))
	}
	return nil, errors.New(printable(refusal.Text))
}
