package admin

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tandem/health"
	"tandem/router"
	"tandem/router/transport"
)

// collector gathers all figures of a node when it is scraped. Calls only add to
// plain counters of their own; nothing here is on their path.
type collector struct {
	opts      *Options
	listeners []string
}

func register(registry *prometheus.Registry, opts *Options) error {
	c := &collector{opts: opts}
	for _, l := range opts.Listeners {
		c.listeners = append(c.listeners, l.String())
	}
	start := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tandem_start_time_seconds", Help: "When the node started, in seconds since 1970.",
	})
	start.SetToCurrentTime()
	for _, one := range []prometheus.Collector{
		c, start, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(one); err != nil {
			return err
		}
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range counts {
		ch <- d.desc
	}
	for _, d := range []*prometheus.Desc{
		callsLive, callsInSetup, draining, hostState, hostRTT, statePersistent, buildInfo, detection,
		udpDatagrams, udpBytes, udpBatches, udpDrops, udpSendErrors, udpICMP,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.opts.Router.Counts(func(n router.Count) {
		if d, ok := counts[n.Name]; ok {
			ch <- prometheus.MustNewConstMetric(d.desc, prometheus.CounterValue, float64(n.Value), n.Labels[:d.labels]...)
		}
	})
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(callsLive, float64(c.opts.Router.Live()))
	gauge(callsInSetup, float64(c.opts.Router.Setups()))
	gauge(draining, number(c.opts.Router.Draining()))
	gauge(statePersistent, number(c.opts.StatePersistent))
	gauge(buildInfo, 1, c.opts.Version)
	gauge(detection, c.opts.Detection.Seconds())
	c.hosts(gauge)
	for _, w := range c.opts.Transport() {
		c.worker(ch, &w)
	}
}

var states = []health.State{health.Up, health.Doubtful, health.Full, health.Down}

// hosts shows each host in each state, so that a series never comes or goes.
func (c *collector) hosts(gauge func(*prometheus.Desc, float64, ...string)) {
	now := c.opts.Now()
	for _, h := range c.opts.Router.Hosts() {
		status := h.Health.Status().At(now)
		for _, s := range states {
			gauge(hostState, number(status.State == s), h.Connector, h.Region, h.URI, s.String())
		}
		rtt := math.NaN() // no answer yet
		if status.RTT > 0 {
			rtt = status.RTT.Seconds()
		}
		gauge(hostRTT, rtt, h.Connector, h.Region, h.URI)
	}
}

func (c *collector) worker(ch chan<- prometheus.Metric, w *transport.WorkerStats) {
	listener, worker := strconv.Itoa(w.Listener), strconv.Itoa(w.Worker)
	if w.Listener < len(c.listeners) {
		listener = c.listeners[w.Listener]
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append(labels, listener, worker)...)
	}
	counter(udpDatagrams, w.Received, "in")
	counter(udpDatagrams, w.Sent, "out")
	counter(udpBytes, w.BytesIn, "in")
	counter(udpBytes, w.BytesOut, "out")
	counter(udpBatches, w.ReceiveBatches, "in")
	counter(udpBatches, w.SendBatches, "out")
	counter(udpDrops, w.Truncated, "truncated")
	counter(udpDrops, w.Empty, "empty")
	counter(udpDrops, w.KernelDrops, "receive_buffer_full")
	counter(udpDrops, w.SendDropped, "send_buffer_full")
	counter(udpSendErrors, w.SendErrors)
	counter(udpICMP, w.ICMP)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
