package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// numberChange is a change of many numbers, page by page.
type numberChange struct {
	managing
	source numberSource
	verb   string         // of the path; "" to add them
	done   string         // as in "12 numbers are assigned"
	body   map[string]any // beside the numbers
	takes  bool           // it may take numbers from another owner
	ask    string         // a question of its own, asked first; "" for none
}

// run changes the numbers given. What takes numbers from others is tried dry
// first, and done when somebody wants it.
func (c *numberChange) run(cmd *cobra.Command, args []string) error {
	total, err := c.source.read(args, cmd.InOrStdin())
	if err != nil {
		return err
	}
	// Not before: a signal ends the reading of an input that has no end.
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if c.dry {
		report, err := c.pages(ctx, cmd.ErrOrStderr(), total, true, c.takes)
		if err != nil {
			return err
		}
		if total > pageOfNumbers { // which is what the node has no way to know
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), dryPages, pageOfNumbers); err != nil {
				return err
			}
		}
		return report.write(cmd, c.output, c.done)
	}
	force := c.takes && c.yes
	switch {
	case c.yes:
	case c.takes:
		report, err := c.pages(ctx, cmd.ErrOrStderr(), total, true, true)
		if err != nil {
			return err
		}
		if force = len(report.taken()) > 0; force {
			if err := confirm(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), takenText(report)); err != nil {
				return err
			}
		}
	case c.ask != "":
		if err := confirm(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf(c.ask, count(total, "number is", "numbers are"))); err != nil {
			return err
		}
	}
	report, err := c.pages(ctx, cmd.ErrOrStderr(), total, false, force)
	if err != nil {
		return err
	}
	return report.write(cmd, c.output, c.done)
}

// dryPages says what a dry run of several pages cannot see.
const dryPages = `each page of %d numbers was tried by itself: a number that stands in two of them counts
twice here, and a range that overlaps one of another page is refused only when it is done
`

// takenText says which numbers are to be taken from whom.
func takenText(report *numbersReport) string {
	var b bytes.Buffer
	b.WriteString("numbers are to be taken from another owner:\n")
	writeMoves(&b, report.taken())
	fmt.Fprintf(&b, "  recent calls to all that are given: %d", report.recent())
	return b.String()
}

// pages has the node change the numbers, page by page, or with dry say what it
// would do. An error says how far it got.
func (c *numberChange) pages(ctx context.Context, errs io.Writer, total int, dry, force bool) (*numbersReport, error) {
	sum, did, last := &numbersReport{Dry: dry}, 0, page{}
	show := newProgress(errs, total, map[bool]string{true: "checked", false: "done"}[dry])
	defer show.end()
	err := c.source.pages(func(p *page) error {
		body := map[string]any{"numbers": p.numbers}
		for key, value := range c.body {
			body[key] = value
		}
		if force {
			body["force"] = true
		}
		path := "/v1/numbers"
		if c.verb != "" {
			path += "/" + c.verb
		}
		r, err := changing(http.MethodPost, path, body, dry)
		if err != nil {
			return err
		}
		var report numbersReport
		if _, err := c.node.send(ctx, r, &report); err != nil {
			return err
		}
		sum.add(&report)
		did += len(p.numbers)
		last = page{first: p.first, last: p.last}
		show.tell(did)
		return nil
	})
	switch {
	case err == nil:
		return sum, nil
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	if dry || total <= pageOfNumbers {
		return nil, err
	}
	got := "none of them is done"
	if did > 0 {
		got = fmt.Sprintf("%d of %d are done, %s", did, total, c.source.where(&last))
	}
	return nil, fmt.Errorf("%w\n%s; of the next %d all are done or none. Running it again is safe: what is done stays as it is",
		err, got, min(pageOfNumbers, total-did))
}

// progress tells how far a long change is, on a terminal.
type progress struct {
	out   io.Writer // nil for nobody to tell
	total int
	what  string // "done"
	told  bool
}

func newProgress(out io.Writer, total int, what string) *progress {
	file, ok := out.(*os.File)
	if !ok || total <= pageOfNumbers || !term.IsTerminal(int(file.Fd())) {
		return &progress{}
	}
	return &progress{out: out, total: total, what: what}
}

func (p *progress) tell(did int) {
	if p.out != nil {
		p.told = true
		_, _ = fmt.Fprintf(p.out, "\r%d of %d numbers %s", did, p.total, p.what)
	}
}

func (p *progress) end() {
	if p.told {
		_, _ = fmt.Fprintln(p.out)
	}
}
