package admin

import (
	"context"
	"net/http"
	"strconv"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/store"
)

// ownerRef is a group or a connector, by name or ID.
type ownerRef struct {
	Group     string `json:"group"`
	Connector string `json:"connector"`
}

// in finds the owner; the zero Owner for nil.
func (o *ownerRef) in(s *inventory.Snapshot) (inventory.Owner, error) {
	if o == nil {
		return inventory.Owner{}, nil
	}
	return s.OwnerOf(o.Connector, o.Group)
}

// required finds the owner, who may not be nobody.
func (o *ownerRef) required(field string, s *inventory.Snapshot) (inventory.Owner, error) {
	if o == nil || (o.Group == "") == (o.Connector == "") {
		return inventory.Owner{}, invalid(field, `write {"group": NAME} or {"connector": NAME}`)
	}
	return o.in(s)
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// numbersOp decides what becomes of numbers.
type numbersOp = func(*inventory.Editor, []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error)

// numbersBody is the body of a request about numbers.
type numbersBody interface{ numbers() []string }

type someNumbers struct {
	Numbers []string `json:"numbers"`
}

func (n *someNumbers) numbers() []string { return n.Numbers }

func (p *managed) addNumbers(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		someNumbers
		To *ownerRef `json:"to"`
	}
	return p.changeNumbers(w, r, "add numbers", &body, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		to, err := body.To.in(e.Snapshot)
		if err != nil {
			return inventory.Change{}, nil, err
		}
		return e.AddNumbers(found, to)
	})
}

func (p *managed) assignNumbers(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		someNumbers
		To    *ownerRef `json:"to"`
		Force bool      `json:"force"`
		Add   bool      `json:"add"`
	}
	return p.changeNumbers(w, r, "assign numbers", &body, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		to, err := body.To.required("to", e.Snapshot)
		switch {
		case err != nil:
			return inventory.Change{}, nil, err
		case body.Add:
			return addOrAssign(e, found, to, body.Force)
		}
		return e.AssignNumbers(found, to, body.Force)
	})
}

func (p *managed) unassignNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.changeNumbers(w, r, "unassign numbers", &someNumbers{}, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.UnassignNumbers(found, nil)
	})
}

func (p *managed) removeNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.changeNumbers(w, r, "remove numbers", &someNumbers{}, (*inventory.Editor).RemoveNumbers)
}

// changeNumbers reads a body and carries out what op makes of its numbers.
func (p *managed) changeNumbers(w http.ResponseWriter, r *http.Request, what string, body numbersBody, op numbersOp) error {
	m, a, err := p.change(r, what)
	if err != nil {
		return err
	}
	if err := read(r, body); err != nil {
		return err
	}
	entries, err := entriesOf(body.numbers())
	if err != nil {
		return err
	}
	t := p.newTally(m, a)
	if err := t.edit(r.Context(), entries, op); err != nil {
		return err
	}
	sayJSON(w, http.StatusOK, t.answer())
	return nil
}

// addOrAssign adds the numbers that are not there and assigns the others, in one
// change.
func addOrAssign(e *inventory.Editor, found []inventory.Found, to inventory.Owner, force bool) (inventory.Change, []inventory.NumberRefusal, error) {
	var missing, there []inventory.Found
	for _, f := range found {
		if f.Number == nil {
			missing = append(missing, f)
		} else {
			there = append(there, f)
		}
	}
	if len(missing) == 0 {
		return e.AssignNumbers(there, to, force)
	}
	c, refusals, err := e.AddNumbers(missing, to)
	if err != nil || len(there) == 0 {
		return c, refusals, err
	}
	assigned, more, err := e.AssignNumbers(there, to, force)
	return joined(c, assigned), append(refusals, more...), err
}

// joined is two changes of one snapshot, of different things, as one.
func joined(a, b inventory.Change) inventory.Change {
	if a.None() {
		return b
	}
	a.Connectors = append(a.Connectors, b.Connectors...)
	a.Groups = append(a.Groups, b.Groups...)
	a.Numbers = append(a.Numbers, b.Numbers...)
	a.Empty = append(a.Empty, b.Empty...)
	return a
}

// moveNumbers gives the numbers of one owner to another, page by page, or those
// that are listed, whoever has them.
func (p *managed) moveNumbers(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "move numbers")
	if err != nil {
		return err
	}
	var body struct {
		someNumbers
		From *ownerRef `json:"from"`
		To   *ownerRef `json:"to"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if (body.From == nil) == (body.Numbers == nil) {
		return invalid("from", "write whose numbers are to be moved, or numbers: a list of them, and not both")
	}
	if _, err := body.To.required("to", m.Snapshot()); err != nil {
		return err
	}
	t := p.newTally(m, a)
	if body.From != nil {
		err = t.move(r.Context(), body.From, body.To)
	} else if entries, wrong := entriesOf(body.Numbers); wrong != nil {
		err = wrong
	} else {
		err = t.edit(r.Context(), entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
			to, err := body.To.required("to", e.Snapshot)
			if err != nil {
				return inventory.Change{}, nil, err
			}
			return e.AssignNumbers(found, to, true)
		})
	}
	if err != nil {
		return t.partly(r, err, 0)
	}
	sayJSON(w, http.StatusOK, t.answer())
	return nil
}

// move moves all numbers of an owner. Each page is a change of its own; a number
// that has left the owner meanwhile stays where it is.
func (t *tally) move(ctx context.Context, from, to *ownerRef) error {
	owner, err := from.required("from", t.m.Snapshot())
	if err != nil {
		return err
	}
	q := store.Query{Owner: &owner, Limit: mostNumbers}
	for {
		page, err := t.m.Numbers(ctx, q)
		if err != nil || len(page.Numbers) == 0 {
			return err
		}
		entries := make([]catalog.Entry, len(page.Numbers))
		for i := range page.Numbers {
			entries[i] = page.Numbers[i].Entry
		}
		err = t.edit(ctx, entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
			to, err := to.required("to", e.Snapshot)
			if err != nil {
				return inventory.Change{}, nil, err
			}
			var own []inventory.Found
			for _, f := range found {
				if f.Number != nil && f.Number.Owner == owner {
					own = append(own, f)
				}
			}
			return e.AssignNumbers(own, to, true)
		})
		if err != nil || !page.More {
			return err
		}
		q.After = &entries[len(entries)-1]
	}
}
