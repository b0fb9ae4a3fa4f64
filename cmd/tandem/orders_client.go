package main

import (
	"context"
	"encoding/json"
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
	text, err := askJSON(ctx, http.MethodPost, q.node, q.path+url.PathEscape(q.name)+"/"+q.verb, body, a)
	return a, text, err
}

// givenOrders are the orders in force at a node.
func givenOrders(ctx context.Context, at target) (*admin.OrderList, []byte, error) {
	list := new(admin.OrderList)
	text, err := askJSON(ctx, http.MethodGet, at, "/v1/orders", nil, list)
	return list, text, err
}

// askJSON sends a request to the admin address of a node and reads its answer
// into value. What the node says against it is the error, word for word.
func askJSON(ctx context.Context, method string, at target, path string, body []byte, value any) ([]byte, error) {
	a, err := at.send(ctx, request{method: method, path: path, body: body, within: askTimeout}, value)
	if err != nil {
		return nil, err
	}
	return a.text, nil
}
