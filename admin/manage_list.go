package admin

import (
	"net/http"
	"strconv"

	"tandem/config/catalog"
)

// How many of a list are told at a time.
const (
	defaultPage = 100
	mostPage    = 1000
)

// limitOf reads the limit of a list.
func limitOf(given map[string]string) (int, error) {
	return whole(given, "limit", defaultPage, mostPage)
}

func whole(given map[string]string, key string, otherwise, most int) (int, error) {
	text, ok := given[key]
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid(key, "is %q; write a number from 1 to %d", printed(text), most)
	}
	return n, nil
}

// pageOf is the part of a list, by name, that a query asks for, as from and to;
// next is the name to go on after, "" at the end.
func pageOf(n int, name func(int) string, after string, limit int) (from, to int, next string) {
	for from < n && after != "" && name(from) <= after {
		from++
	}
	to = min(n, from+limit)
	if to < n && to > from {
		next = name(to - 1)
	}
	return from, to, next
}

// byName reads the query of a list by name.
func byName(r *http.Request) (after string, limit int, err error) {
	given, err := asked(r, "limit", "after")
	if err != nil {
		return "", 0, err
	}
	if after = given["after"]; after != "" && !catalog.ValidName(after) {
		return "", 0, invalid("after", "is no name; write what was told as next")
	}
	limit, err = limitOf(given)
	return after, limit, err
}
