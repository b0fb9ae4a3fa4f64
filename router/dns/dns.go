// Package dns asks DNS servers for addresses, SRV and NAPTR records, and knows
// nothing of what they are for. It keeps no answer: who asks knows how long one
// is good.
//
// The life of a question:
//
//  1. Ask sends it by UDP to the server that answered last, with EDNS0, from a
//     socket of its own: so its port and its ID are hard to guess.
//  2. A reply that was cut short is asked for again over TCP. A server that does
//     not know EDNS0 is asked without.
//  3. A server that is silent, refuses or fails is passed over for the next one.
//  4. Aliases (CNAME) are followed, in the reply and with questions of their own,
//     eight at most.
//
// It validates no DNSSEC, and it is no recursive resolver: the servers are.
package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Kind is a type of records.
type Kind uint16

// Kinds by their numbers (RFC 1035 3.2.2, RFC 3596 2.1, RFC 2782, RFC 3403 4).
const (
	A     Kind = 1
	AAAA  Kind = 28
	SRV   Kind = 33
	NAPTR Kind = 35
)

func (k Kind) String() string {
	switch k {
	case A:
		return "A"
	case AAAA:
		return "AAAA"
	case SRV:
		return "SRV"
	case NAPTR:
		return "NAPTR"
	}
	return fmt.Sprintf("TYPE%d", uint16(k))
}

// Question is what a server is asked.
type Question struct {
	Name string // absolute, in lower case, with the trailing dot
	Kind Kind
}

func (q Question) String() string { return q.Kind.String() + " " + strings.TrimSuffix(q.Name, ".") }

// NewQuestion returns the question for an absolute name, however it is written.
func NewQuestion(name string, kind Kind) Question { return Question{absolute(name), kind} }

func absolute(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") + "." }

// Answer is what there is of the kind that was asked for: nothing, if there is no
// such name or no such record. Its lists must not be changed.
type Answer struct {
	Addrs    []netip.Addr // sorted, each once
	Services []Service    // by priority
	Rules    []Rule
	Extra    []Extra       // addresses of services' hosts that came with the answer
	TTL      time.Duration // the shortest of the records, aliases on the way included; 0 of nothing
}

// Empty reports whether there is nothing.
func (a *Answer) Empty() bool { return len(a.Addrs)+len(a.Services)+len(a.Rules) == 0 }

// Service is an SRV record (RFC 2782).
type Service struct {
	Host             string // absolute, in lower case; "." says that there is no such service
	Port             uint16
	Priority, Weight uint16
}

// Rule is a NAPTR record (RFC 3403 4.1).
type Rule struct {
	Order, Preference uint16
	Flags             string
	Service           string
	Regexp            string
	Replacement       string // absolute, in lower case
}

// Extra is an address from the additional section of an answer.
type Extra struct {
	Host string // absolute, in lower case
	Addr netip.Addr
	TTL  time.Duration
}

// Failure says that no server answered a question. It is no word on whether there
// is an answer.
type Failure struct {
	Question Question
	Server   netip.AddrPort // that was asked last
	Text     string         // what came of it
	Silent   bool           // it did not answer in time
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s: DNS server %s %s", f.Question, f.Server, f.Text)
}

// Stats are counters since New. Every query counts once among the first four.
type Stats struct {
	Answered uint64 // with records
	Empty    uint64 // no such name, or no such record
	Silent   uint64 // no reply in time
	Failed   uint64 // refused, failed, or a reply that cannot be read
	TCP      uint64 // of these, sent over TCP because the first reply was cut short
}
