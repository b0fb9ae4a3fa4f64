package admin

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/health"
	"tandem/router"
)

// eventsKept is how many changes can be asked for again by Last-Event-ID.
const eventsKept = 1024

// Event is a change of a host, of a region, or of what is ordered of something.
type Event struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"` // host, region; order
	Subject    string    `json:"subject"`
	Connectors []string  `json:"connectors,omitempty"` // that a host stands in
	Regions    []string  `json:"regions,omitempty"`    // of those
	From       string    `json:"from"`
	To         string    `json:"to"`
	Reason     Reason    `json:"reason"`
	NotShown   int       `json:"not_shown,omitempty"` // changes before this that came too fast to be told
}

// Events keeps the newest changes for those who listen. Whoever publishes one
// waits for nobody: it goes into a ring, which listeners read at their own pace.
type Events struct {
	run   string       // of this process, the beginning of all IDs
	now   func() int64 // the router's clock
	clock func() time.Time

	mu   sync.Mutex
	ring [eventsKept]Event
	n    uint64        // of all that there ever were; the ring has the newest
	news chan struct{} // closed by the next
}

// NewEvents returns an empty ring. now is the router's clock.
func NewEvents(now func() int64) *Events {
	return &Events{
		run: strconv.FormatInt(time.Now().UnixMilli(), 36), now: now, clock: time.Now,
		news: make(chan struct{}),
	}
}

// Host publishes a change of a host. hosts are those that have its key, the
// places where it stands; notShown is how many changes before it were lost.
func (e *Events) Host(f *health.Flip, hosts []router.HostInfo, notShown int) {
	event := Event{Kind: "host", Subject: f.Key.URI, From: f.From.String(), To: f.To.String(), Reason: reasonOf(f.Reason), NotShown: notShown}
	for i := range hosts {
		h := &hosts[i]
		event.Subject = h.URI // as configured
		event.Connectors = append(event.Connectors, h.Connector)
		if h.Region != "" {
			event.Regions = append(event.Regions, h.Region)
		}
	}
	e.publish(event, f.At)
}

// Region publishes a change of a region.
func (e *Events) Region(f *health.RegionFlip, notShown int) {
	words := [...]string{"healthy", "unhealthy"}
	from, to := 1, 0
	if f.Unhealthy {
		from, to = 0, 1
	}
	e.publish(Event{
		Kind: "region", Subject: f.Region, Regions: []string{f.Region}, From: words[from], To: words[to],
		Reason: Reason{Text: f.Reason(), Event: "hosts"}, NotShown: notShown,
	}, f.At)
}

// order publishes what an order changed.
func (e *Events) order(a *OrderAnswer, note string) {
	event := Event{Kind: "order", Subject: a.Kind + " " + a.Name, From: a.Was, To: a.State, Reason: Reason{Text: note, Event: "ordered"}}
	if note == "" {
		event.Reason.Text = "ordered"
	}
	for _, h := range a.Hosts {
		event.Connectors = addWord(event.Connectors, h.Connector)
		event.Regions = addWord(event.Regions, h.Region)
	}
	e.publish(event, 0)
}

// addWord appends a word of a list in which equal ones stand together.
func addWord(words []string, word string) []string {
	if word == "" || len(words) > 0 && words[len(words)-1] == word {
		return words
	}
	return append(words, word)
}

// publish keeps a change of the time at, 0 for now, and wakes who listens.
func (e *Events) publish(event Event, at int64) {
	m := moment{e.now(), e.clock()}
	if at == 0 {
		at = m.now
	}
	event.Time = m.wall(at)
	e.mu.Lock()
	defer e.mu.Unlock()
	event.ID = e.id(e.n + 1)
	e.ring[e.n%eventsKept] = event
	e.n++
	close(e.news)
	e.news = make(chan struct{})
}

func (e *Events) id(n uint64) string { return e.run + "-" + strconv.FormatUint(n, 10) }

// last returns how many changes there were.
func (e *Events) last() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

// after returns the changes that came after the first n, how many of them are
// not kept any more, and a channel that is closed when there are others.
func (e *Events) after(n uint64) (events []Event, lost uint64, news <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if kept := e.n - min(e.n, eventsKept); n < kept {
		lost, n = kept-n, kept
	}
	for ; n < e.n; n++ {
		events = append(events, e.ring[n%eventsKept])
	}
	return events, lost, e.news
}

// position returns how many changes somebody has seen whose last one has an ID;
// false when it is not of this process.
func (e *Events) position(id string) (uint64, bool) {
	run, number, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil && run == e.run && n <= e.last()
}
