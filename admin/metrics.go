package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"tandem/router"
)

// metric is a name in router.Counts as Prometheus has it.
type metric struct {
	desc   *prometheus.Desc
	labels int // of the two that a Count has
}

func counted(name, help string, labels ...string) metric {
	return metric{desc(name, help, labels...), len(labels)}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tandem_"+name, help, labels, nil)
}

// counts are the router's counters. Labels are bounded by the config: never a
// number, a Call-ID or a source address.
var counts = map[string]metric{
	router.CountRequests:  counted("requests_received_total", "Requests received.", "method"),
	router.CountResponses: counted("responses_received_total", "Responses received.", "class"),
	router.CountReplies:   counted("replies_total", "Responses of the node's own.", "class"),
	router.CountDrops:     counted("dropped_total", "Messages dropped without an answer.", "reason"),
	router.CountCalls:     counted("calls_total", "Calls that ended, by how they did for the caller.", "route", "outcome"),
	router.CountAttempts:  counted("attempts_total", "Attempts that ended, by how they did.", "connector", "outcome"),
	router.CountFailovers: counted("failovers_total", "Attempts that were given up for the next candidate.", "reason"),
	router.CountLate2xx:   counted("late_2xx_total", "2xx responses relayed after another final response."),
	router.CountDialog:    counted("dialog_requests_total", "Requests forwarded within dialogs."),
	router.CountStateless: counted("stateless_responses_total", "Responses forwarded without a call."),
	router.CountICMP:      counted("undeliverable_total", "Datagrams reported as undeliverable."),
}

var (
	callsLive    = desc("calls_live", "Calls in memory, those included that only wait for the last of their timers.")
	callsInSetup = desc("calls_in_setup", "Calls without a final response.")
	draining     = desc("draining", "1 while new calls are refused because the node is to stop.")

	hostState = desc("host_state", "1 for the state that a host is in, 0 for the others.", "connector", "region", "host", "state")
	hostRTT   = desc("host_probe_rtt_seconds", "Round trip of the last OPTIONS that was answered; NaN before the first.", "connector", "region", "host")
	detection = desc("health_detection_seconds", "Longest time until probes find a silent host down, by the settings; 0 without probes.")

	statePersistent = desc("state_persistent", "1 when a restart has the same secret, so that dialogs survive it.")
	buildInfo       = desc("build_info", "1, with the version that runs.", "version")

	udpDatagrams  = desc("udp_datagrams_total", "Datagrams received and sent.", "direction", "listener", "worker")
	udpBytes      = desc("udp_bytes_total", "Bytes of datagrams received and sent, without headers of IP and UDP.", "direction", "listener", "worker")
	udpBatches    = desc("udp_batches_total", "System calls that received or sent at least one datagram.", "direction", "listener", "worker")
	udpDrops      = desc("udp_dropped_total", "Datagrams dropped before or after SIP was looked at.", "reason", "listener", "worker")
	udpSendErrors = desc("udp_send_errors_total", "Datagrams that could not be sent.", "listener", "worker")
	udpICMP       = desc("udp_icmp_total", "ICMP errors received.", "listener", "worker")
)
