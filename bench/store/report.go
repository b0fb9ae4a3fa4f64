package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"tandem/bench/describe"
	"tandem/bench/load"
	"tandem/bench/plan"
)

// write prints the report, and writes it under results.
func (r *result) write(w io.Writer) error {
	var text strings.Builder
	r.render(&text)
	say(w, "%s", text.String())
	if r.settings.results == "-" {
		return nil
	}
	path, err := describe.Keep(r.settings.results, "store", text.String())
	progress("written to %s", path)
	return err
}

func (r *result) render(w io.Writer) {
	s := r.settings
	say(w, "# A store of %s numbers under calls\n\n", describe.Number(s.numbers))
	for _, line := range append(r.about, "load average at the end "+describe.LoadAverage()) {
		say(w, "- %s\n", line)
	}
	say(w, "\nThe numbers are in blocks of %s that are scattered over +1: six tenths of one group, three of another, one tenth unassigned,\n"+
		"three numbers of a connector. Calls, %g a second, go to random numbers that have an owner, every fourth to those that are\n"+
		"changed, and each must come out where the ranking of its number's owner leads. What is changed may lead to either place until\n"+
		"the answer; every call that begins after it must go the new way. Nothing is pinned, as deployed; the client runs beside the load\n"+
		"generator. A call counts where it began.\n\n", describe.Number(plan.Block), s.rate)
	r.renderReading(w)
	r.renderLatencies(w)
	r.renderAnswers(w)
	r.renderLists(w)
	r.renderStart(w)
}

// renderReading says in words what the tables hold.
func (r *result) renderReading(w io.Writer) {
	s, all := r.settings, load.Sum(r.windows, "")
	p := func(name string) int64 { return load.Sum(r.windows, name).Forward.ValueAtQuantile(99.9) }
	say(w, "%s of %s calls failed. %s came out at their owner, %s elsewhere. Of %s numbers that were called right after the answer to\n"+
		"their change, %s came out at the new owner; after %d of %d changes of ranking the very next call went the new way.\n\n",
		describe.Number(all.Counts[load.Failed]), describe.Number(all.Counts[load.Begun]), describe.Number(r.calls.right), describe.Number(r.calls.wrong),
		describe.Number(r.calls.asks), describe.Number(r.calls.askedRight), r.rankedRight, s.rankings)
	if len(r.said) > 0 {
		say(w, "Tandem's log has %d warnings, the first one: `%s`.\n\n", len(r.said), r.said[0])
	}
	imports, moves, backs := took(r.imports), took(r.moves), took(r.backs)
	say(w, "An import of %s numbers takes %v, a move of as many %v as lists and %v in one request (medians of %d). The p99.9 of\n"+
		"INVITE-to-forward is %s ms without changes, %s in imports, %s in moves. One number is assigned in %s ms (median; p99 %s),\n"+
		"a ranking changed in %s ms.\n\n",
		describe.Number(s.imported), round10(imports.at(0.5)), round10(moves.at(0.5)), round10(backs.at(0.5)), s.rounds,
		describe.Milliseconds(p("before")), describe.Milliseconds(p("import")), describe.Milliseconds(p("move")),
		ms(r.assigns.at(0.5)), ms(r.assigns.at(0.99)), ms(r.rankings.at(0.5)))
	least, most := r.medians()
	say(w, "The node serves %v after its start (%v with nothing of the file in the kernel's cache) and has %s of memory then. A page of %s numbers comes\n"+
		"in %s to %s ms (medians), whichever list it is of and wherever in it. The file has %s, %.1f bytes a number.\n\n",
		round10(r.warm.serving), round10(r.cold.serving), describe.Megabytes(r.warm.now), describe.Number(pageSize), ms(least), ms(most),
		describe.Megabytes(r.size), float64(r.size)/float64(s.numbers))
}

// took are the times of rounds.
func took(rounds []round) (all times) {
	for _, one := range rounds {
		all = append(all, one.took)
	}
	return all
}

// answers are those of all rounds.
func answers(rounds []round) (all times) {
	for _, one := range rounds {
		all = append(all, one.answers...)
	}
	return all
}

// medians are the least and the largest of full pages, without calls.
func (r *result) medians() (least, most time.Duration) {
	for _, l := range r.lists {
		if m := l.times.at(0.5); l.least != fewNumbers {
			if least == 0 || m < least {
				least = m
			}
			most = max(most, m)
		}
	}
	return least, most
}

func (r *result) renderLatencies(w io.Writer) {
	say(w, "## INVITE to forward\n\nIn milliseconds, from just before the INVITE is sent to the kernel's receipt of the forwarded one. The last two columns\n"+
		"are from the moment that the schedule wanted the INVITE sent: they hold what the machine made the load generator wait, too.\n\n")
	say(w, "%s", load.TableHead)
	for _, name := range []string{"before", "lists", "after lists", "import", "after import", "move: lists", "move: a group", "after move", "assign", "after assign", "ranking", "after ranking"} {
		say(w, "%s", load.Sum(r.windows, name).Row())
	}
	all := load.Sum(r.windows, "")
	say(w, "\nNumbers are moved as lists, and back all that a group has, in one request; *lists* is the reading of pages below. Out of the\n"+
		"ordinary: %s. The load generator's own CPU time, with the client's: %d µs a call.\n\n", all.Odd(), all.CPUPerCall().Microseconds())
}

func (r *result) renderAnswers(w io.Writer) {
	s := r.settings
	say(w, "## Changes over HTTP\n\nIn milliseconds, from before the request to the last byte of its answer. Each change is on the disk and in force then.\n\n")
	say(w, "| | numbers | in all, median | most | requests | median | p99 | most |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		what    string
		numbers int // 0: none
		took    times
		answers times
	}{
		{"`numbers/assign`, new ones, lists of " + describe.Number(plan.Block), s.imported, took(r.imports), answers(r.imports)},
		{"`numbers/move`, lists of " + describe.Number(plan.Block), s.imported, took(r.moves), answers(r.moves)},
		{"`numbers/move`, from a group, all it has", s.imported, took(r.backs), answers(r.backs)},
		{"`numbers/assign`, one by one", s.assigns, times{r.assigns.sum()}, r.assigns},
		{"`groups/first/ranking`", 0, times{r.rankings.sum()}, r.rankings},
	} {
		say(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", row.what, orNothing(row.numbers), ms(row.took.at(0.5)), ms(row.took.at(1)),
			describe.Number(len(row.answers)), ms(row.answers.at(0.5)), ms(row.answers.at(0.99)), ms(row.answers.at(1)))
	}
	say(w, "\n")
}

func (r *result) renderLists(w io.Writer) {
	say(w, "## Pages of lists over HTTP\n\n`GET /v1/numbers`, %s numbers a page, in milliseconds: without calls %d pages of each list, and under calls %d.\n\n",
		describe.Number(pageSize), len(r.lists[0].times), len(r.busyLists[0].times))
	say(w, "| numbers | median | p99 | most | under calls, median | p99 | most |\n|---|---|---|---|---|---|---|\n")
	for i, l := range r.lists {
		busy := r.busyLists[i].times
		say(w, "| %s | %s | %s | %s | %s | %s | %s |\n", l.name, ms(l.times.at(0.5)), ms(l.times.at(0.99)), ms(l.times.at(1)), ms(busy.at(0.5)), ms(busy.at(0.99)), ms(busy.at(1)))
	}
	say(w, "\n")
}

func (r *result) renderStart(w io.Writer) {
	commits := times(r.commits)
	say(w, "## The store, starts and memory\n\nThe store was filled in %v, %s numbers a second, in %s commits of up to %s numbers (%s ms each, %s at most), to a file\n"+
		"of %s bytes, which grows by 16 MB at a time. Memory is resident; the peak is VmHWM, which begins anew with each row from the third on.\n\n",
		round10(r.took), describe.Number(int(float64(r.settings.numbers)/r.took.Seconds())), describe.Number(len(commits)), describe.Number(plan.Block),
		ms(commits.at(0.5)), ms(commits.at(1)), describe.Number(int(r.size)))
	say(w, "| | to \"serving\", s | to the end of the first call, s | memory | peak |\n|---|---|---|---|---|\n")
	say(w, "| start, the file not in the kernel's cache | %.2f | %.2f | %s | %s |\n", r.cold.serving.Seconds(), r.cold.answered.Seconds(), describe.Megabytes(r.cold.now), describe.Megabytes(r.cold.peak))
	say(w, "| start | %.2f | %.2f | %s | %s |\n", r.warm.serving.Seconds(), r.warm.answered.Seconds(), describe.Megabytes(r.warm.now), describe.Megabytes(r.warm.peak))
	for _, m := range r.memory {
		say(w, "| %s | | | %s | %s |\n", m.when, describe.Megabytes(m.now), describe.Megabytes(m.peak))
	}
}

func orNothing(n int) string {
	if n == 0 {
		return ""
	}
	return describe.Number(n)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
