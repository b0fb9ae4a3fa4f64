package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"tandem/admin"
)

const (
	redrawEvery = time.Second            // for the times in the table
	redrawGap   = 200 * time.Millisecond // at least, however much changes
)

// watchScreen redraws the table until ctx ends or the node goes.
func watchScreen(ctx context.Context, s *screen, q *healthQuery) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	gone := make(chan error, 1)
	go func() { // ends with ctx
		gone <- followEvents(ctx, q.node, func(_ string, _ []byte) error {
			select {
			case changed <- struct{}{}:
			default: // the next drawing shows this too
			}
			return nil
		})
	}()
	defer func() { stop(); <-gone }()
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		all, err := healthOf(ctx, q)
		if err != nil {
			return ended(ctx, err)
		}
		if err := s.draw(healthText(all, s.colours)); err != nil {
			return err
		}
		select {
		case <-time.After(redrawGap):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case err := <-gone:
			gone <- nil // for the one that waits
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// watchLines prints each change of what is wanted until ctx ends or the node goes.
func watchLines(ctx context.Context, out io.Writer, q *healthQuery) error {
	return followEvents(ctx, q.node, func(kind string, data []byte) error {
		text, ok, err := q.line(kind, data)
		if err != nil || !ok {
			return err
		}
		_, err = fmt.Fprintln(out, text)
		return err
	})
}

// line is what is printed of an event; false for nothing.
func (q *healthQuery) line(kind string, data []byte) (string, bool, error) {
	if kind == "lost" {
		var lost admin.Lost
		if err := json.Unmarshal(data, &lost); err != nil {
			return "", false, fmt.Errorf("the node's answer cannot be read: %w", err)
		}
		if q.json {
			return string(data), true, nil
		}
		return fmt.Sprintf("-- %s not shown: they came faster than they could be read", count(int(lost.Lost), "change is", "changes are")), true, nil
	}
	var e admin.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return "", false, fmt.Errorf("the node's answer cannot be read: %w", err)
	}
	if !q.wants(&e) {
		return "", false, nil
	}
	if q.json {
		return string(data), true, nil
	}
	return changeText(&e), true, nil
}

// followEvents hands over the events of a node, with their kinds, until ctx ends.
func followEvents(ctx context.Context, at target, each func(kind string, data []byte) error) error {
	var kind string
	var data []byte
	return followLines(ctx, at, "/v1/events", nil, func(line []byte) error {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			data = append(data[:0], value...)
		case "":
			if len(line) > 0 || len(data) == 0 {
				break // a comment, or a block that tells of nothing
			}
			err := each(kind, data)
			kind, data = "", data[:0]
			return err
		}
		return nil
	})
}
