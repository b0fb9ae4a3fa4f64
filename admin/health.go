package admin

import (
	"net/http"
	"time"

	"tandem/config/catalog"
	"tandem/health"
	"tandem/router"
)

// Health is the answer of GET /v1/health: what a node knows of its regions and
// hosts, in the order of the catalog.
type Health struct {
	Time    time.Time      `json:"time"`
	Regions []RegionHealth `json:"regions"`
	Hosts   []HostHealth   `json:"hosts"`
}

// RegionHealth is a region. Of evacuated ones the order is told.
type RegionHealth struct {
	Region    string `json:"region"`
	Unhealthy bool   `json:"unhealthy"` // more than half of its hosts are down or ejected
	Bad       int    `json:"bad"`       // hosts that are down or ejected
	Hosts     int    `json:"hosts"`     // that are not disabled
	Evacuated bool   `json:"evacuated"` // by order
	Order     *Order `json:"order,omitempty"`
}

// HostHealth is a host of a connector. One that stands in two connectors is told
// of twice and has one health. Of a disabled host nothing new is learned: it is
// in the state that it was in.
type HostHealth struct {
	Region    string `json:"region,omitempty"`
	Connector string `json:"connector"`
	Host      string `json:"host"`     // its URI
	Address   string `json:"address"`  // as orders name it
	Listener  string `json:"listener"` // that calls leave from, or the first that can reach it

	State    string     `json:"state"`
	Since    *time.Time `json:"since,omitempty"`     // nil: it never changed
	SinceSec *float64   `json:"since_sec,omitempty"` // the same, in seconds until now
	Reason   Reason     `json:"reason"`
	Share    float64    `json:"share"` // part of its calls that it is to get: below 1 while it recovers

	Operator       string `json:"operator"` // enabled, draining, disabled
	OperatorReason string `json:"operator_reason,omitempty"`

	Probed       bool    `json:"probed"`
	LastProbe    *Probe  `json:"last_probe,omitempty"`
	Failures     int     `json:"failures"`                // failed probes in a row
	Successes    int     `json:"successes"`               // good ones in a row
	DetectionSec float64 `json:"detection_sec,omitempty"` // longest time until it is down once it is silent

	Calls         CallCounts `json:"calls"`
	Load          *CallLoad  `json:"load,omitempty"`           // of a host with max_calls
	ConnectorLoad *CallLoad  `json:"connector_load,omitempty"` // of all hosts of a connector with max_calls

	History []HealthChange `json:"history,omitempty"` // the oldest first
}

// Probe is the last probe of a host.
type Probe struct {
	Time   time.Time `json:"time"`
	Result string    `json:"result"`           // as Reason.Event
	Code   int       `json:"code,omitempty"`   // of the answer
	RTT    float64   `json:"rtt_ms,omitempty"` // of the answer
}

// CallCounts is what became of a host's last calls.
type CallCounts struct {
	Answered uint64  `json:"answered"`
	Failed   uint64  `json:"failed"`
	OverSec  float64 `json:"over_sec,omitempty"` // the time they are of; 0: all there were
}

// CallLoad is how many calls something with max_calls has.
type CallLoad struct {
	Calls int `json:"calls"`
	Max   int `json:"max"`
}

// HealthChange is a change of a host's state.
type HealthChange struct {
	Time   time.Time `json:"time"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason Reason    `json:"reason"`
}

// Reason is a health.Reason, as text and in parts.
type Reason struct {
	Text      string  `json:"text"`
	Event     string  `json:"event"`
	Last      string  `json:"last,omitempty"` // what the last call met, of events of ejection
	Code      int     `json:"code,omitempty"`
	Count     int     `json:"count,omitempty"`
	ForSec    float64 `json:"for_sec,omitempty"`
	WithinSec float64 `json:"within_sec,omitempty"`
}

func reasonOf(r health.Reason) Reason {
	reason := Reason{
		Text: r.String(), Event: r.Event.Word(), Code: int(r.Code), Count: int(r.Count),
		ForSec: r.For.Seconds(), WithinSec: r.Within.Seconds(),
	}
	if r.Last != health.Nothing {
		reason.Last = r.Last.Word()
	}
	return reason
}

// healthPage is /v1/health.
type healthPage struct {
	router   *router.Router
	operator Operator
	now      func() int64     // the router's clock
	clock    func() time.Time // that of people
}

func newHealthPage(opts *Options) *healthPage {
	return &healthPage{router: opts.Router, operator: opts.Operator, now: opts.Now, clock: time.Now}
}

func (p *healthPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := parseHealthQuery(r.URL.RawQuery, p.router.Catalog())
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	sayJSON(w, http.StatusOK, p.look(&q))
}

// look gathers what is asked for at one moment.
func (p *healthPage) look(q *healthQuery) *Health {
	at := moment{p.now(), p.clock()}
	orders, _ := p.operator.InForce()
	all := &Health{Time: at.wall(at.now), Regions: []RegionHealth{}, Hosts: []HostHealth{}}
	loads := make(map[[2]string]*CallLoad)
	for _, l := range p.router.Loads() {
		loads[[2]string{l.Connector, l.Host}] = &CallLoad{l.Calls, l.Max}
	}
	shown := make(map[string]bool) // regions of hosts that are told of
	for _, h := range p.router.Hosts() {
		if !q.wants(&h) {
			continue
		}
		status := h.Health.Status().At(at.now)
		if !q.wantsState(status.State, h.State) {
			continue
		}
		one := hostHealth(&h, &status, at, q.history)
		one.Load, one.ConnectorLoad = loads[[2]string{h.Connector, h.URI}], loads[[2]string{h.Connector, ""}]
		all.Hosts = append(all.Hosts, one)
		shown[h.Region] = true
	}
	cat := p.router.Catalog()
	for _, r := range p.router.Regions() {
		if q.narrow() && !shown[r.Name] {
			continue
		}
		region := RegionHealth{Region: r.Name, Unhealthy: r.Unhealthy, Bad: r.Bad, Hosts: r.Hosts}
		if order, ok := orders.Of(catalog.Subject{Kind: catalog.RegionKind, Name: r.Name}); ok {
			said := told(order, cat)
			region.Evacuated, region.Order = true, &said
		}
		all.Regions = append(all.Regions, region)
	}
	return all
}

// hostHealth is what there is to tell of a host.
func hostHealth(h *router.HostInfo, s *health.Status, at moment, history bool) HostHealth {
	set := h.Health.Settings()
	calls := h.Health.Calls(at.now)
	one := HostHealth{
		Region: h.Region, Connector: h.Connector, Host: h.URI, Address: h.Addr.String(), Listener: h.Key.Listener,
		State: s.State.String(), Reason: reasonOf(s.Reason), Share: h.Health.View(at.now).Share,
		Operator: h.State.String(), OperatorReason: h.Why,
		Probed:   set.Probe && h.State != catalog.Disabled,
		Failures: s.Failures, Successes: s.Successes,
		Calls: CallCounts{calls.Answered, calls.Failed, calls.Over.Seconds()},
	}
	if one.Probed {
		one.DetectionSec = set.Detection().Seconds()
	}
	if s.Since != 0 {
		since, sec := at.wall(s.Since), time.Duration(at.now-s.Since).Round(time.Millisecond).Seconds()
		one.Since, one.SinceSec = &since, &sec
	}
	if s.LastProbe != 0 {
		one.LastProbe = &Probe{Time: at.wall(s.LastProbe), Result: s.LastEvent.Word()}
		if s.LastEvent == health.ProbeOK { // of others these are older
			one.LastProbe.Code, one.LastProbe.RTT = s.LastCode, float64(s.RTT.Microseconds())/1000
		}
	}
	if history {
		for _, c := range h.Health.History() {
			one.History = append(one.History, HealthChange{at.wall(c.At), c.From.String(), c.To.String(), reasonOf(c.Reason)})
		}
	}
	return one
}

// moment is now, on two clocks.
type moment struct {
	now   int64
	clock time.Time
}

// wall is a time of the router's clock as people write it, to the millisecond.
func (m moment) wall(at int64) time.Time {
	return m.clock.Add(time.Duration(at - m.now)).UTC().Round(time.Millisecond)
}
