package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxListening is how many clients may listen to /v1/events at a time.
const maxListening = 16

// eventsPage is /v1/events. Its fields are set once.
//
// Each listener has a position in the ring of Events and a deadline for what is
// written to it. One that is slow makes nobody wait: the ring goes on, and it is
// told how many changes it has lost, or is gone when it takes nothing at all.
type eventsPage struct {
	events   *Events
	places   chan struct{} // has room for those who listen
	stopping chan struct{} // closed by stop
	stop     func()        // ends all listeners

	keepAlive, writeLimit time.Duration
}

func newEventsPage(events *Events) *eventsPage {
	stopping := make(chan struct{})
	return &eventsPage{
		events: events, places: make(chan struct{}, maxListening),
		stopping: stopping, stop: sync.OnceFunc(func() { close(stopping) }),
		keepAlive: keepAlive, writeLimit: wholeTimeout,
	}
}

func (p *eventsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		say(w, http.StatusBadRequest, "the events have no filters: remove the query")
		return
	}
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		say(w, http.StatusServiceUnavailable,
			fmt.Sprintf("%d clients listen to the events already, and more are not served: end one of them", cap(p.places)))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	s := &feed{w: w, control: http.NewResponseController(w), limit: p.writeLimit}
	at := p.events.last()
	// The first block has an ID and no data: a client that loses the connection
	// before any change can resume too.
	first := "id: " + p.events.id(at) + "\n\n"
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		var known bool
		if at, known = p.events.position(id); known {
			first = ": from " + p.events.id(at) + "\n\n"
		} else {
			at = 0 // what there is, all of it
			first = lostBlock(0, "the node was started again since: what happened before is not known any more")
		}
	}
	if s.writeText(first) {
		p.goOn(r.Context(), s, at)
	}
}

// goOn writes the changes after the first at, and then as they happen, until the
// client goes or the server stops.
func (p *eventsPage) goOn(client context.Context, s *feed, at uint64) {
	quiet := time.NewTimer(p.keepAlive)
	defer quiet.Stop()
	for {
		events, lost, news := p.events.after(at)
		at += lost + uint64(len(events))
		var text strings.Builder
		if lost > 0 {
			text.WriteString(lostBlock(lost, fmt.Sprintf("only the newest %d changes are kept", eventsKept)))
		}
		for i := range events {
			text.WriteString(eventBlock(&events[i]))
		}
		if text.Len() > 0 {
			if !s.writeText(text.String()) {
				return
			}
			quiet.Reset(p.keepAlive)
			continue
		}
		select {
		case <-news:
		case <-quiet.C:
			if !s.writeText(": nothing changes\n\n") {
				return
			}
			quiet.Reset(p.keepAlive)
		case <-client.Done():
			return
		case <-p.stopping:
			return
		}
	}
}

// eventBlock is a change in the stream.
func eventBlock(e *Event) string {
	data, err := json.Marshal(e) // has no line ends
	if err != nil {
		return ": " + err.Error() + "\n\n" // not of these types
	}
	return "id: " + e.ID + "\nevent: " + e.Kind + "\ndata: " + string(data) + "\n\n"
}

// Lost tells a listener that it has missed changes.
type Lost struct {
	Lost   uint64 `json:"lost,omitempty"` // how many; 0: nobody knows
	Reason string `json:"reason"`
}

func lostBlock(n uint64, reason string) string {
	data, _ := json.Marshal(Lost{n, reason}) // a string and a number
	return "event: lost\ndata: " + string(data) + "\n\n"
}

// writeText writes a part of the stream. It reports whether the client is still
// there.
func (s *feed) writeText(text string) bool {
	if !s.extend() {
		return false
	}
	_, err := s.w.Write([]byte(text))
	return err == nil && s.control.Flush() == nil
}
