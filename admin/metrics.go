package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"tandem/router"
)

// metric is a family of series.
type metric struct {
	desc       *prometheus.Desc
	name, kind string
	help       string
	labels     []string
}

// all are the metrics of a node, in the order of the documentation.
var all []*metric

func family(kind, name, help string, labels []string) *metric {
	m := &metric{prometheus.NewDesc("tandem_"+name, help, labels, nil), "tandem_" + name, kind, help, labels}
	all = append(all, m)
	return m
}

func counter(name, help string, labels ...string) *metric {
	return family("counter", name, help, labels)
}
func gauge(name, help string, labels ...string) *metric { return family("gauge", name, help, labels) }
func histogram(name, help string, labels ...string) *metric {
	return family("histogram", name, help, labels)
}

// Labels are bounded by the config: never a number, a Call-ID or a source
// address.
var (
	calls      = counter("calls_total", "Calls that ended, by how they did for the caller: answered, refused (by a connector), exhausted, cancelled, timeout. The route is the group, or the connector of a number without one.", "route", "outcome")
	spared     = counter("all_down_total", "Calls, among the exhausted ones, that were answered with hosts left which are down or ejected and were not tried: when_all_down is reject.", "route")
	trunkCalls = counter("trunk_calls_total", "The same by the trunk that they came from.", "trunk", "outcome")
	rejectedBy = counter("rejected_total", "Requests outside of dialogs that were not let in: no_route, untrusted, max_cps, draining, full, loop, …", "reason")
	overRate   = counter("trunk_over_rate_total", "Requests refused because the trunk was over its max_cps.", "trunk")
	attempts   = counter("attempts_total", "Attempts that ended: answered, refused, failed (one of failover.codes), silent, no_progress, no_answer, icmp, send_error, cancelled, timeout.", "connector", "outcome")
	passedBy   = counter("limited_total", "Hosts on the route of a new call that had no room for it, whether it would have gone there or not: they or their connector were at max_calls or max_cps.", "connector")
	failovers  = counter("failovers_total", "Attempts that were given up for the next candidate: silent, no_progress, no_answer, icmp, send_error, code.", "reason")

	routeProgress = histogram("setup_progress_seconds", "From an INVITE to the first ringing or answer that its caller heard of.", "route")
	routeAnswer   = histogram("setup_answer_seconds", "From an INVITE to its answer.", "route")
	routeFailover = histogram("failover_delay_seconds", "What failed attempts cost callers that got through: from an INVITE to the start of the attempt that brought progress.", "route")
	trunkProgress = histogram("trunk_setup_progress_seconds", "As setup_progress, by trunk.", "trunk")
	trunkAnswer   = histogram("trunk_setup_answer_seconds", "As setup_answer, by trunk.", "trunk")
	trunkFailover = histogram("trunk_failover_delay_seconds", "As failover_delay, by trunk.", "trunk")

	callsInSetup = gauge("calls_in_setup", "Calls without a final response.")
	callsLive    = gauge("calls_live", "Calls in memory, those included that only wait for the last of their timers.")
	callsLargest = gauge("calls_in_fullest_stripe", "Calls in the fullest of the parts that they are kept in: far above calls_live / 64, they are spread badly.")
	callsUsed    = gauge("calls_room_used_ratio", "How full the fullest of the parts is that calls are kept in, by their number or by the bytes of their messages: at 1 new calls get 503.")
	callsKept    = gauge("recent_calls", "Calls that can be looked at with tandem calls.")
	timersArmed  = gauge("timers_armed", "Calls that wait for a deadline, but for that of those that were answered.")
	timersLate   = histogram("timer_lateness_seconds", "How much later than due timers fire: more than some milliseconds is a machine without time.")
	memory       = gauge("memory_bytes", "Memory kept for calls, message buffers that wait to be used again, and recent calls.", "kind")

	requests   = counter("requests_received_total", "Requests received.", "method")
	responses  = counter("responses_received_total", "Responses received.", "class")
	replies    = counter("replies_total", "Responses of the node's own.", "class")
	drops      = counter("dropped_total", "Messages dropped without an answer: not_sip, untrusted, forged, retransmission, …; repeat_overflow: sent once over UDP for a sender that does not repeat it, and not again, since too many are.", "reason")
	dialog     = counter("dialog_requests_total", "Requests forwarded within dialogs.")
	stateless  = counter("stateless_responses_total", "Responses forwarded without a call: after a restart, or within dialogs.")
	largeBy    = counter("large_requests_total", "Requests of more than udp_mtu to hosts over UDP, by what they left over: tcp, udp (the host is not known to take TCP, or large_requests is udp), fallback (by UDP, after TCP had failed: they count under tcp too).", "over")
	late2xx    = counter("late_2xx_total", "Answers relayed after the caller had been given another final response.")
	undeliver  = counter("undeliverable_total", "Datagrams that ICMP or the kernel reported as undeliverable.")
	parked     = counter("parked_total", "In-dialog requests that waited for a name to be resolved.")
	namesAsked = counter("names_total", "Names looked up in Contact and Route, by what became of it: hit, miss, full, refused.", "result")
	namesSent  = counter("name_lookups_total", "Questions to the resolver that ended: found, failed.", "result")
	namesKept  = gauge("names", "Names in memory.")
	dnsQueries = counter("dns_queries_total", "Questions sent to DNS servers, for names within dialogs and for those of hosts: answered, empty (no such name or record), silent (no reply in time), failed (refused, failed, or unreadable).", "result")
	dnsTCP     = counter("dns_tcp_queries_total", "Of these, sent once more over TCP because the first reply was cut short.")
	dnsLookups = counter("dns_lookups_total", "Lookups of names of hosts: found, failed (a question failed, or there is no server any more: the last good answer stays).", "result")
	dnsChanges = counter("dns_changes_total", "Lookups of names of hosts that brought other servers.")
	dnsNames   = gauge("dns_names", "Names of hosts: known, kept (the last lookup failed, its answer of before stays), empty (no server is known: it gets no calls).", "state")
	dnsServers = gauge("dns_servers", "Servers of names of hosts: all that are known, and those left_out, which get no calls because they cannot be sent to.", "kind")

	hostState   = gauge("host_state", "1 for the state that a host is in (up, recovering, doubtful, full, ejected, down), 0 for the others; of a disabled host nothing is known.", "connector", "region", "host", "state")
	loadCalls   = gauge("limited_calls", "Calls of a connector, or of a host, that has max_calls; host is empty for all of a connector.", "connector", "host")
	loadMax     = gauge("limited_calls_max", "Its max_calls.", "connector", "host")
	regionBad   = gauge("region_bad_hosts", "Hosts of a region that are in service, and down or ejected.", "region")
	regionHosts = gauge("region_hosts", "Hosts of a region that are in service; with more than half of them bad, its others are tried after those of healthy regions.", "region")
	operator    = gauge("host_operator_state", "1 for the state that the operator gave a host or its connector (enabled, draining, disabled), 0 for the others.", "connector", "region", "host", "state")
	hostRTT     = gauge("host_probe_rtt_seconds", "Round trip of the last OPTIONS that was answered; NaN before the first.", "connector", "region", "host")
	detection   = gauge("health_detection_seconds", "Longest time until probes find a silent host down, by the global settings; 0 without probes.")

	reloads      = counter("config_reloads_total", "Reloads of the config: taken, failed.", "result")
	reloadOK     = gauge("config_last_reload_successful", "1 when the config that was read last is in force, 0 when it has mistakes and the one before is.")
	reloadTime   = gauge("config_last_reload_timestamp_seconds", "When the config in force was read, in seconds since 1970.")
	watched      = gauge("config_watched", "1 while a change of the config file is seen and reloaded by itself.")
	draining     = gauge("draining", "1 while new calls are refused because the node is to stop.")
	statePersist = gauge("state_persistent", "1 when a restart has the same secret; 0: it would break the BYE of calls that are up.")
	ordersGiven  = gauge("orders", "Orders of operators, those included whose subject the config does not have: regions evacuated, connectors and hosts draining and disabled.", "kind", "state")
	ordersKept   = gauge("orders_persistent", "1 when a restart has the same orders; 0: it would send calls where operators ordered it not to, or not where it may again.")
	changes      = counter("changes_total", "Changes of connectors, groups and numbers in the store: made, refused (by the rules), failed (the store did not take them).", "result")
	storeOK      = gauge("store_ok", "1 while the store takes changes, or there is none; 0 when it failed the last one: changes are refused, calls go on.")
	numbersKept  = gauge("numbers", "Numbers, a range or a prefix as one: assigned, unassigned.", "state")
	buildInfo    = gauge("build_info", "1, with the version that runs.", "version")
	startTime    = gauge("start_time_seconds", "When the node started, in seconds since 1970.")

	udpDatagrams  = counter("udp_datagrams_total", "Datagrams received and sent.", "direction", "listener", "worker")
	udpBytes      = counter("udp_bytes_total", "Bytes of datagrams received and sent, without headers of IP and UDP.", "direction", "listener", "worker")
	udpBatch      = histogram("udp_batch_datagrams", "Datagrams that one system call received or sent.", "direction", "listener", "worker")
	udpDrops      = counter("udp_dropped_total", "Datagrams dropped before or after SIP was looked at; receive_buffer_full is the one to watch: the kernel dropped what nobody fetched in time.", "reason", "listener", "worker")
	udpSendErrors = counter("udp_send_errors_total", "Datagrams that could not be sent.", "listener", "worker")
	udpICMP       = counter("udp_icmp_total", "ICMP errors received.", "listener", "worker")
	udpSegments   = counter("udp_segments_total", "Datagrams that left together with others of their size to the same peer (UDP_SEGMENT).", "listener", "worker")
	udpRefused    = counter("udp_local_refused_total", "Datagrams that could not leave from the address that was asked, and left from another.", "listener", "worker")

	streamConns       = gauge("stream_connections", "Connections of TCP and TLS that are there, also those that are not ready yet: in (accepted), out (opened by the node).", "direction", "listener")
	streamMade        = counter("stream_connections_total", "Connections that came about: in (accepted, those included that were refused at once), out (opened by the node).", "direction", "listener")
	streamEnded       = counter("stream_ended_total", "Connections that ended or never came about, by why: closed_by_the_peer, idle, reset, connect_failed, certificate_refused, too_many_connections, …", "reason", "listener")
	streamAcceptFails = counter("stream_accept_errors_total", "Connections that the system could not give: no files left, mostly.", "listener")
	streamHandshakes  = counter("stream_handshakes_total", "TLS handshakes that were done, both ways: full, resumed (a session was taken up again).", "kind", "listener")
	streamMessages    = counter("stream_messages_total", "Messages received and sent over connections.", "direction", "listener")
	streamBytes       = counter("stream_bytes_total", "Bytes of messages received and sent over connections, without those of TLS.", "direction", "listener")
	streamQueued      = counter("stream_queued_total", "Messages, among those sent, that waited because the peer did not take them at once.", "listener")
	streamFull        = counter("stream_queue_full_total", "Messages not sent because too much waited for the peer already: it does not read.", "listener")
	streamUndelivered = counter("stream_undelivered_total", "Messages that could not be delivered: reported to the call that they are of, unreported (too many at once).", "result", "listener")
	streamPings       = counter("stream_pings_total", "Keep-alives (RFC 5626): in (answered), out, ignored (by peers that have never answered one).", "kind", "listener")

	certificateEnds = gauge("tls_certificate_expires_timestamp_seconds", "When the certificate ends that the node shows, as a listener or to connectors, in Unix time; of the one in use, not of a file that was not read again.", "file")
	authorityEnds   = gauge("tls_authority_expires_timestamp_seconds", "When the last of the authorities in a file of ca or client_ca ends, and with it all trust by that file, in Unix time; of those in use, not of a file that was not read again.", "file")
	filesRead       = gauge("tls_last_reload_successful", "1 when what is in force is what the file of a certificate, with its key, or of authorities had at the last reload, 0 when that could not be used and what was read before is in force.", "file")
)

// counts are the router's counters by their names there.
var counts = map[string]*metric{
	router.CountRequests:  requests,
	router.CountResponses: responses,
	router.CountReplies:   replies,
	router.CountDrops:     drops,
	router.CountCalls:     calls,
	router.CountSpared:    spared,
	router.CountAttempts:  attempts,
	router.CountFailovers: failovers,
	router.CountPassedBy:  passedBy,
	router.CountLarge:     largeBy,
	router.CountLate2xx:   late2xx,
	router.CountDialog:    dialog,
	router.CountStateless: stateless,
	router.CountICMP:      undeliver,
	router.CountRejected:  rejectedBy,
	router.CountTrunk:     trunkCalls,
	router.CountOverRate:  overRate,
	router.CountParked:    parked,
}

// histograms are the router's histograms by their names there.
var histograms = map[string]*metric{
	router.RouteProgress: routeProgress,
	router.RouteAnswer:   routeAnswer,
	router.RouteFailover: routeFailover,
	router.TrunkProgress: trunkProgress,
	router.TrunkAnswer:   trunkAnswer,
	router.TrunkFailover: trunkFailover,
	router.TimerLate:     timersLate,
}

// Table is the documentation of all metrics as a Markdown table.
func Table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, m := range all {
		help := strings.TrimSuffix(m.help, ".")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), help)
	}
	return b.String()
}

// Names lists the series names of all metrics as queries write them: those of a
// histogram with their suffixes.
func Names() (names []string) {
	for _, m := range all {
		if m.kind == "histogram" {
			names = append(names, m.name+"_bucket", m.name+"_sum", m.name+"_count")
			continue
		}
		names = append(names, m.name)
	}
	slices.Sort(names)
	return names
}
