package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"tandem/router"
	"tandem/router/wire"
)

// writeCall tells the story of a call: who called whom and how it ended, a line
// for each attempt, the Call-ID.
func writeCall(out io.Writer, c *router.CallRecord) {
	fmt.Fprintf(out, "%s  %s  %s\n", c.Began.Local().Format("2006-01-02 15:04:05.000"), parties(c), callEnd(c))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range c.Attempts {
		a := &c.Attempts[i]
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t+%.2f s\t%s\n",
			i+1, a.Connector, cmp.Or(a.Region, "-"), a.Host+over(a), a.Start/1000, attemptStory(c, i))
	}
	_ = w.Flush() // out is memory
	fmt.Fprintf(out, "  call-id %s\n", cmp.Or(printable(c.CallID), "-"))
}

// over is what an attempt went over that did not go over what its host is reached
// over.
func over(a *router.AttemptRecord) string {
	if a.Transport == "" {
		return ""
	}
	return " over " + a.Transport
}

// parties is whom the call is to, whom it is from, and where it led.
func parties(c *router.CallRecord) string {
	var b strings.Builder
	if c.Method != "INVITE" {
		b.WriteString(printable(c.Method) + " to ")
	}
	fmt.Fprintf(&b, "%s  %s (%s)", cmp.Or(printable(c.Number), "(no number)"), cmp.Or(c.Trunk, "no trunk"), c.Source)
	if c.Route != "" {
		b.WriteString(" -> " + c.Route)
	}
	return b.String()
}

// callEnd is how the call ended for the caller.
func callEnd(c *router.CallRecord) string {
	after := " after " + seconds(c.Took)
	switch c.Outcome {
	case "answered":
		text := fmt.Sprintf("answered %d%s", c.Status, after)
		if i := attemptWith(c, "answered"); i >= 0 && len(c.Attempts) > 1 {
			text += fmt.Sprintf(", on attempt %d of %d", i+1, len(c.Attempts))
		}
		return text
	case "refused":
		text := "refused with " + status(c.Status) + after
		if i := attemptWith(c, "refused"); i >= 0 {
			text += ", by " + c.Attempts[i].Connector
		}
		return text
	case "exhausted":
		return "FAILED with " + status(c.Status) + after + ": " + exhaustion(len(c.Attempts), c.Reason)
	case "cancelled":
		if c.Progress > 0 {
			return "the caller gave up" + after + ", while it rang"
		}
		return "the caller gave up" + after + ", before it rang"
	case "timeout":
		if c.Progress > 0 {
			return "FAILED with " + status(c.Status) + after + ": it rang, and nobody answered"
		}
		return "FAILED with " + status(c.Status) + after + ": no final answer in time"
	case "rejected":
		return "REJECTED with " + status(c.Status) + reason(c.Reason)
	}
	return fmt.Sprintf("%s, %s%s%s", printable(c.Outcome), status(c.Status), after, reason(c.Reason))
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + printable(text)
}

// exhaustion is why nothing was left; more is what was left all the same.
func exhaustion(attempts int, more string) string {
	switch {
	case attempts == 0 && more != "":
		return printable(more)
	case attempts == 0:
		return "there was no host to try"
	case more != "":
		more = "; " + printable(more)
	}
	if attempts == 1 {
		return "its only attempt failed" + more
	}
	return fmt.Sprintf("all %d attempts failed%s", attempts, more)
}

// attemptWith is the index of the attempt that gave the caller the call's final
// response, with this outcome; -1 when it is not known.
func attemptWith(c *router.CallRecord, outcome string) int {
	for i := range c.Attempts {
		if c.Attempts[i].Outcome == outcome && c.Attempts[i].Status == c.Status {
			return i
		}
	}
	return -1
}

// attemptStory is what became of attempt i of the call. Its times are counted
// from its beginning.
func attemptStory(c *router.CallRecord, i int) string {
	a := &c.Attempts[i]
	since := func(at float64) string { return seconds(at - a.Start) }
	rang := ""
	if a.Progress > 0 {
		rang = "ringing after " + since(a.Progress) + ", "
	}
	// Of an attempt that ended without a final response: how far it had come.
	heard := rang
	switch {
	case rang != "":
	case a.First > 0:
		heard = "100 Trying after " + since(a.First) + ", "
	default:
		heard = "no answer at all, "
	}
	switch a.Outcome {
	case "answered":
		text := rang + fmt.Sprintf("answered %d after %s", a.Status, since(a.End))
		if i+1 < len(c.Attempts) {
			text += ": late, the next was tried already"
		}
		return text
	case "refused":
		text := rang + "refused with " + status(a.Status) + " after " + since(a.End)
		if c.Outcome == "refused" && a.Status == c.Status {
			text += ": passed on to the caller"
		}
		return text
	case "failed":
		return rang + "failed with " + status(a.Status) + " after " + since(a.End) + then(c, i)
	case "silent":
		return "no answer at all within " + since(a.End) + then(c, i)
	case "no_progress":
		return "nothing but 100 Trying within " + since(a.End) + ", cancelled" + then(c, i)
	case "no_answer":
		return rang + "nobody answered within " + since(a.End) + ", cancelled" + then(c, i)
	case "icmp":
		return "unreachable: the network said so (ICMP) after " + since(a.End) + then(c, i)
	case "send_error":
		return "this machine could not send to it" + then(c, i)
	case "cancelled":
		return heard + "cancelled after " + since(a.End) + whyCancelled(c)
	case "timeout":
		return heard + "no final answer within " + since(a.End) + ", cancelled"
	case "pending":
		switch c.Outcome {
		case "answered", "cancelled":
			return heard + "cancelled" + whyCancelled(c)
		}
		return heard + "without a final answer when the call was over"
	}
	return printable(a.Outcome)
}

// then is what followed the failure of attempt i.
func then(c *router.CallRecord, i int) string {
	switch {
	case i+1 < len(c.Attempts):
		return ": tried the next"
	case c.Outcome == "exhausted":
		return ": nothing left to try"
	}
	return ""
}

func whyCancelled(c *router.CallRecord) string {
	switch c.Outcome {
	case "answered":
		return ": another attempt was answered"
	case "cancelled":
		return ": the caller gave up"
	}
	return ""
}

// status is a response with its usual words.
func status(code int) string {
	if code == 0 {
		return "no response"
	}
	return fmt.Sprintf("%d %s", code, wire.Phrase(code))
}

// seconds is a time of milliseconds as people read it.
func seconds(ms float64) string {
	ms = max(ms, 0)
	switch {
	case ms < 9.5:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 100_000:
		return fmt.Sprintf("%.2f s", ms/1000)
	}
	return fmt.Sprintf("%.0f s", ms/1000)
}

// printable is text that a stranger wrote, without what a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
