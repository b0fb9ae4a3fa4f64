package router

import "time"

const (
	milli  = int64(time.Millisecond)
	second = int64(time.Second)
	day    = 24 * int64(time.Hour)
)

// Constants of the specification: RFC 3261 17.1.1.1 and table 4.
const (
	t1 = int64(500 * time.Millisecond) // round-trip estimate
	t2 = int64(4 * time.Second)        // longest retransmission interval
	t4 = int64(5 * time.Second)        // longest time a message stays in the network

	timerB = 64 * t1 // also F, H, J, L and M: the life of a transaction

	// RFC 4320 4.1: a 100 to a non-INVITE goes out when Timer E would reach T2.
	nonInvite100 = t1 + 2*t1 + 4*t1

	defaultMaxForwards = 70 // RFC 3261 16.6 step 3
	defaultMaxBreadth  = 60 // RFC 5393 5.3.3; also the most that is let pass
	defaultPort        = 5060
)

// Constants of this implementation.
const (
	stripes = 64 // independent shares of the calls, each under its own lock

	tokenLifeDays = 30 // a route token is good for this long: the longest dialog

	// A call at a host with max_calls counts for so long after its answer, its
	// last re-INVITE or UPDATE, if nobody sees its end.
	callLife = 4 * 3600 * second

	// In-dialog requests that one token may send in a second.
	tokenRate = 50

	// 403s to untrusted sources in a second, all sources together.
	untrustedReplyRate = 100

	// Bytes that a stranger is answered for one of his at most.
	mostAmplified = 3

	maxListeners = 16 // one hexadecimal digit of a branch tells them apart

	// Calls in memory at once where nobody says how many, those included that only
	// wait for their timers to end, half a minute, of which an eighth counts of
	// those that were answered: a minute of a flood must not take the machine's memory.
	maxCalls = 500_000
	// Bytes of messages for each of them.
	callRoom = 2 << 10

	// A candidate is given this much of a call's setup budget, or what is left
	// of it: less would give up hosts that are only far away.
	leastShare = int64(500 * time.Millisecond)

	// Requests that wait for a name, and how long one does at most.
	parkRoom  = 1024
	parkBytes = 4 << 20
	parkTime  = second

	// What is added to a request is far less than what is missing from this to
	// a datagram.
	longRequest = 60_000

	maxNumber  = 32 // bytes of a called number that can be looked up
	maxCallID  = 96 // bytes of a Call-ID that are kept for the log
	recordRoom = 256

	alivePoll = 10 * time.Millisecond

	// Timers that are late by more than stoodStill wait as long again, at most
	// catchUp: sockets hold what came while the process did not run.
	stoodStill = 20 * milli
	catchUp    = 500 * milli

	// How long counters are kept whose name no policy has any more.
	ledgerKeep = int64(time.Hour)

	recentPiece = 64 // recent calls that are copied at a time
)
