package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tandem/router"
	"tandem/router/transport"
)

// story is what the demo has seen and what it says about it. It is told by one
// goroutine.
type story struct {
	out    io.Writer
	colour bool
	start  time.Time
	rate   int
	names  []string
	hosts  func() []router.HostInfo

	placed, answered, ended, cut, lost int

	second map[string]int    // answered in this second, by connector
	total  map[string]int    // answered in all
	states map[string]string // of the connectors' hosts, as the proxy sees them
	delays []time.Duration   // of all answered calls
	errs   map[string]int

	affected map[string]bool // Call-IDs in set-up at the connector when it died
	saved    []time.Duration // their delays
	died     time.Duration
	back     string        // the connector that came back and has had no call yet
	backAt   time.Duration // when
}

func newStory(out io.Writer, colour bool, rate int, names []string, hosts func() []router.HostInfo) *story {
	return &story{
		out: out, colour: colour, start: time.Now(), rate: rate, names: names, hosts: hosts,
		second: make(map[string]int), total: make(map[string]int), states: make(map[string]string),
		errs: make(map[string]int), affected: make(map[string]bool),
	}
}

func (s *story) now() time.Duration { return time.Since(s.start) }

// live is the number of calls that are not over.
func (s *story) live() int { return s.placed - s.ended - s.cut - s.lost }

// title explains the columns of picture.
func (s *story) title() {
	fmt.Fprintf(s.out, "%6s", "time")
	for _, name := range s.names {
		fmt.Fprintf(s.out, "  %-35s", name+": calls a second")
	}
	fmt.Fprintf(s.out, "%6s %6s\n", "lost", "live")
}

// picture is one second in one line.
func (s *story) picture() {
	fmt.Fprintf(s.out, "%5.0fs", s.now().Seconds())
	for _, name := range s.names {
		n := s.second[name]
		bar := strings.Repeat("#", min(n*20/max(s.rate, 1), 20))
		fmt.Fprintf(s.out, "  %4d %-20s %-9s", n, bar, s.states[name])
	}
	fmt.Fprintf(s.out, "%6d %6d\n", s.lost, s.live())
	clear(s.second)
}

// say tells one event.
func (s *story) say(format string, args ...any) {
	text := fmt.Sprintf("%6.1fs  >> ", s.now().Seconds()) + fmt.Sprintf(format, args...)
	if s.colour {
		text = "\x1b[1;33m" + text + "\x1b[0m"
	}
	fmt.Fprintln(s.out, text)
}

// look reports what the proxy thinks of its hosts, when that changes.
func (s *story) look() {
	for _, h := range s.hosts() {
		status := h.Health.Status().At(transport.Now())
		state, was := status.State.String(), s.states[h.Connector]
		if state == was {
			continue
		}
		s.states[h.Connector] = state
		if was != "" {
			s.say("tandem: %s is %s (%s)", h.Connector, state, status.Reason)
		}
	}
}

func (s *story) hear(h happening) {
	switch h.kind {
	case callAnswered:
		s.answered++
		s.second[h.connector]++
		s.total[h.connector]++
		s.delays = append(s.delays, h.delay)
		s.hearAffected(h)
		if s.back == h.connector {
			s.say("%s answers calls again, %s after it came back", s.back, ms(s.now()-s.backAt))
			s.back = ""
		}
	case callEnded:
		s.ended++
	case callCut:
		s.cut++
	case callLost:
		s.lost++
		s.errs[h.err.Error()]++
		s.say("a call is LOST: %v", h.err)
	}
}

// hearAffected follows the calls that were in set-up when the connector died.
func (s *story) hearAffected(h happening) {
	if !s.affected[h.id] {
		return
	}
	delete(s.affected, h.id)
	s.saved = append(s.saved, h.delay)
	if len(s.affected) == 0 {
		s.say("%s in set-up there: answered by %s; the longest post-dial delay was %s",
			count(len(s.saved), "call that was", "calls that were"), h.connector, ms(slices.Max(s.saved)))
	}
}

func (s *story) death(name string, setup []string, up int) {
	s.died = s.now()
	for _, id := range setup {
		s.affected[id] = true
	}
	s.say("%s DIES: its socket is closed, with %s in set-up and %d up", name, count(len(setup), "call", "calls"), up)
}

func (s *story) comeback(name string) {
	s.back, s.backAt = name, s.now()
	s.say("%s is BACK; tandem sends it calls again when its OPTIONS are answered", name)
}

// summary closes the story.
func (s *story) summary(failedOver uint64) {
	fmt.Fprintf(s.out, "\n%d calls in %.0f s: %d answered, %d lost", s.placed, s.now().Seconds(), s.answered, s.lost)
	for _, name := range s.names {
		fmt.Fprintf(s.out, "; %s took %d", name, s.total[name])
	}
	fmt.Fprintf(s.out, ".\n%d failed over to the next connector while the caller waited.", failedOver)
	if len(s.delays) > 0 {
		slices.Sort(s.delays)
		fmt.Fprintf(s.out, " Longest wait until ringing: %s (usual: %s).", ms(s.delays[len(s.delays)-1]), ms(s.delays[len(s.delays)/2]))
	}
	fmt.Fprintln(s.out)
	if s.cut > 0 {
		fmt.Fprintf(s.out, "%s up at the connector that died and ended with it: a proxy saves calls in set-up, not the far end of a conversation.\n",
			count(s.cut, "call was", "calls were"))
	}
	for text, n := range s.errs {
		fmt.Fprintf(s.out, "lost: %d times %s\n", n, text)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }
