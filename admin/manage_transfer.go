package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
)

const (
	mostMoves       = 4
	mostExports     = 2
	mostImports     = 1        // each has all of its file in memory
	mostImport      = 64 << 20 // bytes
	transferTimeout = 10 * time.Minute
)

// yamlTypes are what an import may be called (RFC 9512).
var yamlTypes = []string{"application/yaml", "application/x-yaml", "text/yaml"}

// Counted is what became of connectors or groups.
type Counted struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
}

// ImportAnswer is the answer of POST /v1/import.
type ImportAnswer struct {
	Connectors Counted        `json:"connectors"`
	Groups     Counted        `json:"groups"`
	Numbers    *NumbersAnswer `json:"numbers"`
	LeftAlone  []string       `json:"left_alone,omitempty"` // sections of the file that are not managed here
	DryRun     bool           `json:"dry_run,omitempty"`
}

// transfer lets a few at a time do what takes long: places has room for those at
// work.
func (p *managed) transfer(places chan struct{}, do action) action {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := p.stored(); err != nil {
			return err
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			return closed(fmt.Sprintf("%d are under way already, and more are not taken: wait until one is over", cap(places)))
		}
		return do(w, r)
	}
}

func (p *managed) exportAll(w http.ResponseWriter, r *http.Request) error {
	if _, err := asked(r); err != nil {
		return err
	}
	return p.stream(w, r, "application/yaml", "tandem.yaml", func(w *slowWriter) (err error) {
		// The numbers may be of a moment that the snapshot is too old for.
		const tries = 5
		for range tries {
			err = config.WriteInventory(w, p.manager.Snapshot(), func(f func(inventory.Number) error) error { return p.manager.Each(r.Context(), f) })
			if err == nil || w.written > 0 || r.Context().Err() != nil {
				break
			}
		}
		return err
	})
}

func (p *managed) backup(w http.ResponseWriter, r *http.Request) error {
	if _, err := asked(r); err != nil {
		return err
	}
	return p.stream(w, r, "application/octet-stream", "tandem.db", func(w *slowWriter) error { return p.manager.Backup(r.Context(), w) })
}

// stream writes an answer that may be long. Once a part of it is sent, an error
// ends the connection: the client sees that there is no end.
func (p *managed) stream(w http.ResponseWriter, r *http.Request, kind, name string, write func(*slowWriter) error) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if r.Method == http.MethodHead {
		return nil
	}
	s := &slowWriter{w: w, control: http.NewResponseController(w)}
	err := write(s)
	if err == nil {
		return nil
	}
	if s.written == 0 {
		w.Header().Del("Content-Disposition")
		return err
	}
	p.log.Warn("an answer was not sent to its end", "path", r.URL.Path, "by", who(r), "error", err.Error())
	panic(http.ErrAbortHandler)
}

// slowWriter gives the client time for each part, and not for the whole.
type slowWriter struct {
	w       io.Writer
	control *http.ResponseController
	written int64
}

func (s *slowWriter) Write(text []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(wholeTimeout)) // else that of the server counts
	n, err := s.w.Write(text)
	s.written += int64(n)
	return n, err
}

// importAll takes connectors and groups in one change, and then the numbers, page
// by page. What is there and not in the import stays.
func (p *managed) importAll(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "import", "force")
	if err != nil {
		return err
	}
	given, err := asked(r, "force", "dry_run")
	if err != nil {
		return err
	}
	force, err := yes(given, "force")
	if err != nil {
		return err
	}
	im, err := readImport(r)
	if err != nil {
		return err
	}
	var before *inventory.Snapshot
	c, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) {
		before = e.Snapshot
		return im.Change(e)
	})
	if err != nil {
		return err
	}
	s := m.Snapshot()
	if a.Dry {
		s = before.With(c, before.Revision)
	}
	t := p.newTally(m, a)
	for i := range im.Numbers {
		if err := t.bring(r.Context(), &im.Numbers[i], s, force); err != nil {
			return t.partly(r, err, len(c.Connectors)+len(c.Groups))
		}
	}
	answer := ImportAnswer{Connectors: counted(len(im.Connectors)), Groups: counted(len(im.Groups)), Numbers: t.answerBy(s), LeftAlone: im.LeftAlone, DryRun: a.Dry}
	for _, one := range c.Connectors {
		answer.Connectors.count(one.Before == nil)
	}
	for _, one := range c.Groups {
		answer.Groups.count(one.Before == nil)
	}
	sayJSON(w, http.StatusOK, answer)
	return nil
}

func counted(unchanged int) Counted { return Counted{Unchanged: unchanged} }

// count counts one of the unchanged as changed.
func (c *Counted) count(created bool) {
	c.Unchanged--
	if created {
		c.Created++
	} else {
		c.Updated++
	}
}

// readImport reads the body.
func readImport(r *http.Request) (*config.Import, error) {
	text, f := bodyOf(r, mostImport)
	if f != nil {
		return nil, f
	}
	im, err := config.ParseInventory("import", text, config.ImportOptions{})
	var mistakes config.Errors
	switch {
	case errors.As(err, &mistakes):
		return nil, notImported(mistakes)
	case err != nil:
		return nil, err
	}
	return im, nil
}

// notImported tells of the first mistakes.
func notImported(mistakes config.Errors) *Failure {
	const few = 20
	f := fail(http.StatusBadRequest, "%s", mistakes[:min(few, len(mistakes))])
	if more := len(mistakes) - few; more > 0 {
		f.Text += fmt.Sprintf("\nand %d more", more)
	}
	return f
}

// bring adds or assigns numbers of an import. In a dry run their owner may be
// known to s alone.
func (t *tally) bring(ctx context.Context, n *config.OwnedNumbers, s *inventory.Snapshot, force bool) error {
	return n.Pages(mostNumbers, func(entries []catalog.Entry) error {
		return t.edit(ctx, once(slices.Clone(entries)), func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
			work := *e
			if t.a.Dry {
				work.Snapshot = s
			}
			to := inventory.Owner{Kind: n.Owner}
			var err error
			switch n.Owner {
			case inventory.Nobody:
				return addUnassigned(&work, found, force)
			case inventory.ConnectorOwner:
				to, err = work.Snapshot.OwnerOf(n.Name, "")
			case inventory.GroupOwner:
				to, err = work.Snapshot.OwnerOf("", n.Name)
			}
			if err != nil {
				return inventory.Change{}, nil, err
			}
			return addOrAssign(&work, found, to, force)
		})
	})
}

// addUnassigned adds what is not there; what is, is taken from its owner by force
// only.
func addUnassigned(e *inventory.Editor, found []inventory.Found, force bool) (inventory.Change, []inventory.NumberRefusal, error) {
	var missing, owned []inventory.Found
	var refusals []inventory.NumberRefusal
	for _, f := range found {
		switch {
		case f.Number == nil:
			missing = append(missing, f)
		case f.Number.Owner.Kind == inventory.Nobody:
		case force:
			owned = append(owned, f)
		default:
			refusals = append(refusals, inventory.NumberRefusal{Entry: f.Entry, Refusal: &inventory.Refusal{
				Reason: inventory.Taken, Text: "it belongs to " + e.Snapshot.OwnerName(f.Number.Owner) + "; with force it is unassigned",
			}})
		}
	}
	var all inventory.Change
	if len(missing) > 0 {
		c, more, err := e.AddNumbers(missing, inventory.Owner{})
		if err != nil {
			return c, nil, err
		}
		all, refusals = c, append(refusals, more...)
	}
	if len(owned) > 0 {
		c, more, err := e.UnassignNumbers(owned, nil)
		if err != nil {
			return c, nil, err
		}
		all, refusals = joined(all, c), append(refusals, more...)
	}
	return all, refusals, nil
}
