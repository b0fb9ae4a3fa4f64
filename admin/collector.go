package admin

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/health"
	"tandem/router"
	"tandem/router/transport"
	"tandem/router/transport/stream"
)

// collector gathers all figures of a node when it is scraped. Calls only add to
// plain counters of their own; nothing here is on their path.
type collector struct {
	opts      *Options
	listeners []string
	started   time.Time
}

func register(registry *prometheus.Registry, opts *Options) error {
	c := &collector{opts: opts, started: time.Now()}
	for _, l := range opts.Listeners {
		c.listeners = append(c.listeners, l.String())
	}
	for _, one := range []prometheus.Collector{
		c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(one); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range all {
		ch <- m.desc
	}
}

// scrape sends the samples of one scrape.
type scrape chan<- prometheus.Metric

func (s scrape) value(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == "counter" {
		kind = prometheus.CounterValue
	}
	s <- prometheus.MustNewConstMetric(m.desc, kind, v, labels[:len(m.labels)]...)
}

func (s scrape) flag(m *metric, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	s.value(m, v, labels...)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := scrape(ch)
	o := c.opts
	o.Router.Counts(func(n router.Count) {
		if m, ok := counts[n.Name]; ok {
			s.value(m, float64(n.Value), n.Labels[:]...)
		}
	})
	bounds := router.HistogramBounds()
	o.Router.Histograms(func(h router.Histogram) {
		m, ok := histograms[h.Name]
		if !ok {
			return
		}
		buckets := make(map[float64]uint64, len(bounds))
		for i, b := range bounds {
			buckets[b] = h.Upper[i]
		}
		s <- prometheus.MustNewConstHistogram(m.desc, h.Count, h.Sum, buckets, []string{h.Label}[:len(m.labels)]...)
	})
	c.usage(s)
	s.flag(draining, o.Router.Draining())
	s.flag(statePersist, o.StatePersistent)
	s.value(buildInfo, 1, o.Version)
	s.value(startTime, seconds(c.started))
	s.value(detection, o.Detection().Seconds())
	c.reloads(s)
	c.names(s)
	c.dns(s)
	c.orders(s)
	c.store(s)
	c.hosts(s)
	for _, r := range o.Router.Regions() {
		s.value(regionBad, float64(r.Bad), r.Name)
		s.value(regionHosts, float64(r.Hosts), r.Name)
	}
	for _, l := range o.Router.Loads() {
		s.value(loadCalls, float64(l.Calls), l.Connector, l.Host)
		s.value(loadMax, float64(l.Max), l.Connector, l.Host)
	}
	for _, w := range o.Transport() {
		c.worker(s, &w)
	}
	if o.Streams != nil {
		for _, l := range o.Streams() {
			c.stream(s, &l)
		}
	}
	if o.Expiries != nil {
		e := o.Expiries()
		for file, end := range e.Certificates {
			s.value(certificateEnds, float64(end.Unix()), file)
		}
		for file, end := range e.Authorities {
			s.value(authorityEnds, float64(end.Unix()), file)
		}
		for file, read := range e.Read {
			s.flag(filesRead, read, file)
		}
	}
}

func (c *collector) usage(s scrape) {
	u := c.opts.Router.Usage()
	s.value(callsInSetup, float64(u.Setups))
	s.value(callsLive, float64(u.Calls))
	s.value(callsLargest, float64(u.Largest))
	s.value(callsUsed, u.Used)
	s.value(callsKept, float64(u.Kept))
	s.value(timersArmed, float64(u.Timers))
	s.value(memory, float64(u.CallBytes), "calls")
	s.value(memory, float64(u.BufferBytes), "free_buffers")
	s.value(memory, float64(u.KeptBytes), "recent_calls")
}

func (c *collector) reloads(s scrape) {
	r := c.opts.Reloads()
	s.value(reloads, float64(r.Taken), "taken")
	s.value(reloads, float64(r.Failed), "failed")
	s.flag(reloadOK, r.OK)
	s.value(reloadTime, seconds(r.Last))
	s.flag(watched, r.Watched)
}

func (c *collector) names(s scrape) {
	n := c.opts.Names()
	s.value(namesAsked, float64(n.Hits), "hit")
	s.value(namesAsked, float64(n.Misses), "miss")
	s.value(namesAsked, float64(n.Full), "full")
	s.value(namesAsked, float64(n.Refused), "refused")
	s.value(namesSent, float64(n.Lookups-n.Failures), "found")
	s.value(namesSent, float64(n.Failures), "failed")
	s.value(namesKept, float64(n.Names))
}

func (c *collector) dns(s scrape) {
	d := c.opts.DNS()
	q, n := &d.Queries, &d.Names
	s.value(dnsQueries, float64(q.Answered), "answered")
	s.value(dnsQueries, float64(q.Empty), "empty")
	s.value(dnsQueries, float64(q.Silent), "silent")
	s.value(dnsQueries, float64(q.Failed), "failed")
	s.value(dnsTCP, float64(q.TCP))
	s.value(dnsLookups, float64(n.Found), "found")
	s.value(dnsLookups, float64(n.Failed), "failed")
	s.value(dnsChanges, float64(n.Changes))
	s.value(dnsNames, float64(n.Targets-n.Kept-n.Empty), "known")
	s.value(dnsNames, float64(n.Kept), "kept")
	s.value(dnsNames, float64(n.Empty), "empty")
	s.value(dnsServers, float64(n.Servers), "all")
	s.value(dnsServers, float64(d.LeftOut), "left_out")
}

// orders counts by what can be ordered, so that a series never comes or goes.
func (c *collector) orders(s scrape) {
	orders, unsaved := c.opts.Operator.InForce()
	count := make(map[verb]int)
	for _, o := range orders.List() {
		count[verb{o.Subject.Kind, o.State}]++
	}
	for _, of := range verbs {
		for _, v := range of {
			if v.state != catalog.Enabled {
				s.value(ordersGiven, float64(count[v]), v.kind.String(), stateWord(v.kind, v.state))
			}
		}
	}
	s.flag(ordersKept, unsaved == nil)
}

// store shows what is managed; without a store, the numbers of the config.
func (c *collector) store(s scrape) {
	var done manage.Stats
	assigned, unassigned := 0, 0
	if m := c.opts.Manager; m != nil {
		done = m.Stats()
		for owner, n := range m.Snapshot().Counts {
			if owner == (inventory.Owner{}) {
				unassigned += n
			} else {
				assigned += n
			}
		}
	} else {
		cat := c.opts.Router.Catalog()
		for i := range cat.Connectors {
			assigned += cat.Connectors[i].NumberCount()
		}
		for i := range cat.Groups {
			assigned += cat.Groups[i].NumberCount()
		}
	}
	s.value(changes, float64(done.Made), "made")
	s.value(changes, float64(done.Refused), "refused")
	s.value(changes, float64(done.Failed), "failed")
	s.flag(storeOK, !done.Failing)
	s.value(numbersKept, float64(assigned), "assigned")
	s.value(numbersKept, float64(unassigned), "unassigned")
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// hosts shows each host in each state, so that a series never comes or goes.
func (c *collector) hosts(s scrape) {
	now := c.opts.Now()
	for _, h := range c.opts.Router.Hosts() {
		status := h.Health.Status().At(now)
		for _, state := range health.States {
			v := 0.0
			if status.State == state && h.State != catalog.Disabled {
				v = 1
			}
			s.value(hostState, v, h.Connector, h.Region, h.URI, state.String())
		}
		for _, state := range []catalog.State{catalog.Enabled, catalog.Draining, catalog.Disabled} {
			v := 0.0
			if h.State == state {
				v = 1
			}
			s.value(operator, v, h.Connector, h.Region, h.URI, state.String())
		}
		rtt := math.NaN() // no answer yet
		if status.RTT > 0 {
			rtt = status.RTT.Seconds()
		}
		s.value(hostRTT, rtt, h.Connector, h.Region, h.URI)
	}
}

// listener names a listener by its address. UDP and TCP may share one; no metric
// is of both.
func (c *collector) listener(index int) string {
	if index < len(c.listeners) {
		return c.listeners[index]
	}
	return strconv.Itoa(index)
}

func (c *collector) worker(s scrape, w *transport.WorkerStats) {
	listener, worker := c.listener(w.Listener), strconv.Itoa(w.Worker)
	count := func(m *metric, v uint64, labels ...string) {
		s.value(m, float64(v), append(labels, listener, worker)...)
	}
	count(udpDatagrams, w.Received, "in")
	count(udpDatagrams, w.Sent, "out")
	count(udpBytes, w.BytesIn, "in")
	count(udpBytes, w.BytesOut, "out")
	s.sizes(w.ReceiveSizes, w.Received+w.Truncated+w.Empty, "in", listener, worker)
	s.sizes(w.SendSizes, w.Sent, "out", listener, worker)
	count(udpDrops, w.Truncated, "truncated")
	count(udpDrops, w.Empty, "empty")
	count(udpDrops, w.KernelDrops, "receive_buffer_full")
	count(udpDrops, w.SendDropped, "send_buffer_full")
	count(udpSendErrors, w.SendErrors)
	count(udpICMP, w.ICMP)
	count(udpRefused, w.LocalRefused)
	count(udpSegments, w.Segments)
}

// sizes shows a distribution of batch sizes, whose bounds are powers of two.
func (s scrape) sizes(sizes transport.Sizes, datagrams uint64, labels ...string) {
	buckets := make(map[float64]uint64, len(sizes))
	var n uint64
	for i, count := range sizes {
		n += count
		buckets[float64(int(1)<<i)] = n
	}
	s <- prometheus.MustNewConstHistogram(udpBatch.desc, n, float64(datagrams), buckets, labels...)
}

// label makes a label's value of words.
func label(words string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(words))
}

// stream shows what a listener of TCP or TLS has done.
func (c *collector) stream(s scrape, l *stream.Stats) {
	listener := c.listener(l.Listener)
	s.value(streamConns, float64(l.Open), "in", listener)
	s.value(streamConns, float64(l.Dialled), "out", listener)
	count := func(m *metric, v uint64, labels ...string) { s.value(m, float64(v), append(labels, listener)...) }
	count(streamMade, l.Accepted, "in")
	count(streamMade, l.Connected, "out")
	for _, why := range stream.Ends() {
		count(streamEnded, l.Ended[why], label(why.String()))
	}
	count(streamAcceptFails, l.AcceptErrors)
	count(streamHandshakes, l.Handshakes-l.Resumed, "full")
	count(streamHandshakes, l.Resumed, "resumed")
	count(streamMessages, l.Received, "in")
	count(streamMessages, l.Sent, "out")
	count(streamBytes, l.BytesIn, "in")
	count(streamBytes, l.BytesOut, "out")
	count(streamQueued, l.Queued)
	count(streamFull, l.QueueFull)
	count(streamUndelivered, l.Undelivered, "reported")
	count(streamUndelivered, l.Unreported, "unreported")
	count(streamPings, l.PingsIn, "in")
	count(streamPings, l.PingsOut, "out")
	count(streamPings, l.PingsIgnored, "ignored")
}
