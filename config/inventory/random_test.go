package inventory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// Random operations are decided by a model of maps and loops too, and carried out
// by a store of maps that finds conflicts: the two agree, and what With makes of
// a Snapshot is what the store would make anew.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 300 {
				w.step()
				w.check()
			}
		})
	}
}

// world is an editor, the store that it works on, and the model.
type world struct {
	*testing.T
	*Editor
	random   *rand.Rand
	revision uint64

	// The store.
	connectors map[string]Connector // by ID
	groups     map[string]Group
	numbers    map[catalog.Entry]Number

	// The model, by names.
	regions map[string]string         // of each connector
	ranking map[string]map[string]int // of each group
	owners  map[catalog.Entry]string  // "c east", "g support", ""
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		T: t, random: rand.New(rand.NewPCG(seed, 7)),
		connectors: make(map[string]Connector), groups: make(map[string]Group), numbers: make(map[catalog.Entry]Number),
		regions: make(map[string]string), ranking: make(map[string]map[string]int), owners: make(map[catalog.Entry]string),
	}
	ids := 0
	w.Editor = &Editor{
		Snapshot: &Snapshot{}, Now: then, Quotas: Quotas{Groups: 4 * int(seed%2), ConnectorsPerGroup: 3 * int(seed%3%2)},
		NewID: func() string { ids++; return fmt.Sprintf("id%d", ids) },
	}
	return w
}

// commit is what a store does.
func (w *world) commit(c Change) {
	w.Helper()
	if c.None() {
		require.Equal(w, Change{}, c)
		return
	}
	require.Equal(w, w.Snapshot.Revision, c.Catalog)
	w.revision++
	for _, o := range c.Empty {
		require.NotEqual(w, Owner{}, o)
		require.Zero(w, w.Snapshot.Counts[o])
	}
	for _, c := range c.Connectors {
		if c.Before != nil {
			require.Equal(w, w.connectors[c.Before.ID], *c.Before)
			delete(w.connectors, c.Before.ID)
		}
		if c.After != nil {
			after := *c.After
			after.Revision = w.revision
			require.NotContains(w, w.connectors, after.ID)
			w.connectors[after.ID] = after
		}
	}
	for _, c := range c.Groups {
		if c.Before != nil {
			require.Equal(w, w.groups[c.Before.ID], *c.Before)
			delete(w.groups, c.Before.ID)
		}
		if c.After != nil {
			after := *c.After
			after.Revision = w.revision
			require.NotContains(w, w.groups, after.ID)
			w.groups[after.ID] = after
		}
	}
	for _, c := range c.Numbers {
		if c.Before != nil {
			require.Equal(w, w.numbers[c.Before.Entry], *c.Before)
			delete(w.numbers, c.Before.Entry)
		}
		if c.After != nil {
			after := *c.After
			after.Revision = w.revision
			require.NotContains(w, w.numbers, after.Entry)
			w.numbers[after.Entry] = after
		}
	}
	w.Snapshot = w.Snapshot.With(c, w.revision)
}

// snapshot is the Snapshot of what the store holds.
func (w *world) snapshot() *Snapshot {
	s := &Snapshot{Counts: make(map[Owner]int)}
	for _, c := range w.connectors {
		s.Connectors, s.Revision = append(s.Connectors, c), max(s.Revision, c.Revision)
	}
	for _, g := range w.groups {
		s.Groups, s.Revision = append(s.Groups, g), max(s.Revision, g.Revision)
	}
	for e, n := range w.numbers {
		s.Counts[n.Owner]++
		if e.Kind != catalog.Exact {
			s.Spans, s.Revision = append(s.Spans, n), max(s.Revision, n.Revision)
		}
	}
	slices.SortFunc(s.Connectors, func(a, b Connector) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Spans, func(a, b Number) int {
		return 2*(int(a.Entry.Kind)-int(b.Entry.Kind)) + int(max(min(int64(a.Entry.First)-int64(b.Entry.First), 1), -1))
	})
	return s
}

// check holds the Snapshot against the store, and the store against the model.
func (w *world) check() {
	w.Helper()
	want, got := w.snapshot(), *w.Snapshot
	require.GreaterOrEqual(w, got.Revision, want.Revision)
	got.Revision = want.Revision // a deletion moves it, and leaves no trace
	if got.Counts == nil {
		got.Counts = make(map[Owner]int)
	}
	got.Connectors, got.Groups, got.Spans = orNil(got.Connectors), orNil(got.Groups), orNil(got.Spans)
	require.Equal(w, want, &got)

	regions := make(map[string]string)
	for _, c := range got.Connectors {
		regions[c.Name] = c.Region
	}
	require.Equal(w, w.regions, regions)
	ranking := make(map[string]map[string]int)
	for _, g := range got.Groups {
		ranking[g.Name] = make(map[string]int)
		taken := make(map[int]bool)
		for _, m := range g.Connectors {
			require.Contains(w, regions, m.Connector, "no dangling member")
			require.False(w, taken[m.Priority])
			taken[m.Priority], ranking[g.Name][m.Connector] = true, m.Priority
		}
	}
	require.Equal(w, w.ranking, ranking)
	owners := make(map[catalog.Entry]string)
	for e, n := range w.numbers {
		owners[e] = w.model(n.Owner)
		if n.Owner.Kind == ConnectorOwner {
			require.LessOrEqual(w, len(got.GroupsOf(owners[e][2:])), 1)
		}
	}
	require.Equal(w, w.owners, owners)
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// model is what the model calls an owner.
func (w *world) model(o Owner) string {
	switch o.Kind {
	case ConnectorOwner:
		return "c " + w.connectors[o.ID].Name
	case GroupOwner:
		return "g " + w.groups[o.ID].Name
	}
	return ""
}

// groupsOf is how many groups of the model have a connector.
func (w *world) groupsOf(connector string) (n int) {
	for _, members := range w.ranking {
		if _, in := members[connector]; in {
			n++
		}
	}
	return n
}

func (w *world) numbersOf(owner string) (n int) {
	for _, o := range w.owners {
		if o == owner {
			n++
		}
	}
	return n
}

func (w *world) connectorName() string { return string(rune('a' + w.random.IntN(6))) }
func (w *world) groupName() string     { return string(rune('A' + w.random.IntN(5))) }

// ref is a name, or now and then the ID.
func (w *world) ref(name string) string {
	if w.random.IntN(2) == 0 {
		return name
	}
	for id, c := range w.connectors {
		if c.Name == name {
			return id
		}
	}
	for id, g := range w.groups {
		if g.Name == name {
			return id
		}
	}
	return name
}

// outcome commits a change, if it is to be one, and reports whether it is.
func (w *world) outcome(allowed bool, c Change, err error) bool {
	w.Helper()
	if !allowed {
		require.IsType(w, (*Refusal)(nil), err)
		require.Equal(w, Change{}, c)
		require.NotEmpty(w, err.(*Refusal).Text)
		return false
	}
	require.NoError(w, err)
	w.commit(c)
	return true
}

func (w *world) step() {
	w.Helper()
	w.Now = w.Now.Add(time.Second)
	a, b, g := w.connectorName(), w.connectorName(), w.groupName()
	region, isConnector := w.regions[a]
	members, isGroup := w.ranking[g]
	switch w.random.IntN(14) {
	case 0, 1:
		c, err := w.CreateConnector(ConnectorSpec{Name: a, Region: "r"})
		if w.outcome(!isConnector, c, err) {
			w.regions[a] = "r"
		}
	case 2:
		spec := ConnectorSpec{Name: b, Region: []string{"r", "r", "other"}[w.random.IntN(3)], MaxCalls: w.random.IntN(2)}
		c, err := w.UpdateConnector(w.ref(a), spec)
		_, taken := w.regions[b]
		if w.outcome(isConnector && spec.Region == region && (a == b || !taken), c, err) && a != b {
			w.rename(a, b)
		}
	case 3:
		c, err := w.DeleteConnector(w.ref(a))
		if w.outcome(isConnector && w.groupsOf(a) == 0 && w.numbersOf("c "+a) == 0, c, err) {
			delete(w.regions, a)
		}
	case 4:
		spec, ranking, ok := w.spec(g, nil)
		full := w.Quotas.Groups > 0 && len(w.ranking) >= w.Quotas.Groups
		c, err := w.CreateGroup(spec)
		if w.outcome(!isGroup && !full && ok, c, err) {
			w.ranking[g] = ranking
		}
	case 5:
		to := w.groupName()
		spec, ranking, ok := w.spec(to, members)
		_, taken := w.ranking[to]
		c, err := w.UpdateGroup(w.ref(g), spec)
		if w.outcome(isGroup && (to == g || !taken) && ok, c, err) {
			delete(w.ranking, g)
			w.ranking[to] = ranking
			w.moved("g "+g, "g "+to)
		}
	case 6:
		c, err := w.DeleteGroup(w.ref(g))
		if w.outcome(isGroup && len(members) == 0 && w.numbersOf("g "+g) == 0, c, err) {
			delete(w.ranking, g)
		}
	case 7:
		next := maps.Clone(members)
		if next == nil {
			next = make(map[string]int)
		}
		next[a] = w.random.IntN(5)
		c, err := w.AddMember(w.ref(g), w.ref(a), next[a])
		if w.outcome(isGroup && w.allowed(next, members), c, err) {
			w.ranking[g] = next
		}
	case 8:
		_, in := members[a]
		c, err := w.RemoveMember(w.ref(g), w.ref(a))
		if w.outcome(in, c, err) {
			delete(members, a)
		}
	case 9:
		next, set := maps.Clone(members), make(map[string]int)
		known := isGroup
		for _, name := range []string{a, b} {
			if _, in := members[name]; !in {
				known = false
				set[name] = 1
				continue
			}
			next[name] = w.random.IntN(5)
			set[name] = next[name]
		}
		c, err := w.SetPriorities(w.ref(g), set)
		if w.outcome(known && w.allowed(next, members), c, err) {
			w.ranking[g] = next
		}
	default:
		w.numbersStep()
	}
}

// spec is a group of random members; ok reports whether a group that had some
// may have them.
func (w *world) spec(name string, before map[string]int) (spec GroupSpec, ranking map[string]int, ok bool) {
	spec, ranking, ok = GroupSpec{Name: name}, make(map[string]int), true
	for range w.random.IntN(5) {
		m := Member{w.connectorName(), 1 + w.random.IntN(9)}
		if _, twice := ranking[m.Connector]; twice {
			ok = false
		}
		ranking[m.Connector] = m.Priority
		m.Connector = w.ref(m.Connector)
		spec.Connectors = append(spec.Connectors, m)
	}
	return spec, ranking, ok && w.allowed(ranking, before)
}

// allowed is whether a group that had some members may have others.
func (w *world) allowed(members, before map[string]int) bool {
	taken := make(map[int]bool)
	for name, priority := range members {
		_, known := w.regions[name]
		_, had := before[name]
		if !known || priority < 1 || priority > 99 || taken[priority] || !had && w.groupsOf(name) > 0 && w.numbersOf("c "+name) > 0 {
			return false
		}
		taken[priority] = true
	}
	most := w.Quotas.ConnectorsPerGroup
	return most == 0 || len(members) <= most || len(members) <= len(before)
}

func (w *world) rename(from, to string) {
	w.regions[to] = w.regions[from]
	delete(w.regions, from)
	for _, members := range w.ranking {
		if p, in := members[from]; in {
			delete(members, from)
			members[to] = p
		}
	}
	w.moved("c "+from, "c "+to)
}

func (w *world) moved(from, to string) {
	for e, o := range w.owners {
		if o == from {
			w.owners[e] = to
		}
	}
}

// entry is a number, a range or a prefix of few digits, so that they meet.
func (w *world) entry() catalog.Entry {
	digits := 2 + w.random.IntN(2)
	number := func(most int) string {
		text := []string{"", "+"}[w.random.IntN(20)/19]
		for range digits {
			text += string("0189"[w.random.IntN(most)])
		}
		return text
	}
	switch w.random.IntN(4) {
	case 0:
		first, last := number(4), number(4)
		if (first[0] == '+') != (last[0] == '+') {
			return entry(first)
		}
		return entry(min(first, last) + "-" + max(first, last))
	case 1:
		digits = 1 + w.random.IntN(4)
		return entry(number(4) + "*")
	}
	return entry(number(3))
}

// clashes is whether two ranges or prefixes cannot both be, number by number.
func clashes(a, b catalog.Entry) bool {
	if a.Kind == catalog.Exact || b.Kind == catalog.Exact || a.Kind == b.Kind && a.Kind == catalog.Prefix {
		return false
	}
	for digits := 2; digits <= 3; digits++ { // those of ranges; prefixes are equal or not
		both, onlyA, onlyB := 0, 0, 0
		for _, n := range everyNumber[digits] {
			switch inA, inB := covers(a, n), covers(b, n); {
			case inA && inB:
				both++
			case inA:
				onlyA++
			case inB:
				onlyB++
			}
		}
		switch {
		case both == 0:
		case a.Kind == catalog.Range && b.Kind == catalog.Range:
			return true
		case a.Kind == catalog.Range && onlyA > 0, b.Kind == catalog.Range && onlyB > 0:
			return true
		}
	}
	return false
}

// everyNumber is all numbers of 2 and 3 digits, with and without "+".
var everyNumber = func() (all [4][]string) {
	most := 100
	for digits := 2; digits <= 3; digits++ {
		for i := range most {
			n := fmt.Sprintf("%0*d", digits, i)
			all[digits] = append(all[digits], n, "+"+n)
		}
		most *= 10
	}
	return all
}()

func covers(e catalog.Entry, n string) bool {
	list := e.Numbers()
	if list.Kind == catalog.Prefix {
		return strings.HasPrefix(n, list.First)
	}
	return len(n) == len(list.First) && (n[0] == '+') == (list.First[0] == '+') && list.First <= n && n <= list.Last
}

func (w *world) numbersStep() {
	w.Helper()
	var found []Found
	for range 1 + w.random.IntN(6) {
		f := Found{Entry: w.entry()}
		if w.random.IntN(3) > 0 && len(w.numbers) > 0 {
			known := slices.SortedFunc(maps.Keys(w.numbers), func(a, b catalog.Entry) int { return strings.Compare(a.String(), b.String()) })
			f.Entry = known[w.random.IntN(len(known))]
		}
		if n, ok := w.numbers[f.Entry]; ok {
			f.Number = &n
		}
		found = append(found, f)
	}
	to, owner := "", Owner{}
	switch name := w.connectorName(); w.random.IntN(3) {
	case 0:
		if _, ok := w.regions[name]; ok {
			to, owner = "c "+name, w.owner(w.Snapshot.OwnerOf(name, ""))
		}
	case 1:
		name = w.groupName()
		if _, ok := w.ranking[name]; ok {
			to, owner = "g "+name, w.owner(w.Snapshot.OwnerOf("", name))
		}
	}
	mayOwn := to == "" || to[0] == 'g' || w.groupsOf(to[2:]) < 2

	var c Change
	var refusals []NumberRefusal
	var err error
	next := maps.Clone(w.owners)
	refused := make(map[catalog.Entry]bool)
	switch w.random.IntN(5) {
	case 0, 1:
		c, refusals, err = w.AddNumbers(found, owner)
		for _, f := range found {
			is, known := next[f.Entry]
			switch {
			case refused[f.Entry] || known && is == to:
			case known || slices.ContainsFunc(slices.Collect(maps.Keys(next)), func(e catalog.Entry) bool { return clashes(e, f.Entry) }):
				refused[f.Entry] = true
			default:
				next[f.Entry] = to
			}
		}
	case 2:
		force := w.random.IntN(2) == 0
		c, refusals, err = w.AssignNumbers(found, owner, force)
		mayOwn = mayOwn && to != ""
		for _, f := range found {
			is, known := next[f.Entry]
			if !known || is != "" && is != to && !force {
				refused[f.Entry] = true
				continue
			}
			next[f.Entry] = to
		}
	case 3:
		from := &owner
		if w.random.IntN(2) == 0 {
			from = nil
		}
		c, refusals, err = w.UnassignNumbers(found, from)
		mayOwn = true
		for _, f := range found {
			is, known := next[f.Entry]
			if !known || is != "" && from != nil && is != to {
				refused[f.Entry] = true
				continue
			}
			next[f.Entry] = ""
		}
	case 4:
		c, refusals, err = w.RemoveNumbers(found)
		mayOwn = true
		for _, f := range found {
			if is, known := w.owners[f.Entry]; !known || is != "" {
				refused[f.Entry] = true
				continue
			}
			delete(next, f.Entry)
		}
	}
	if !w.outcome(mayOwn, c, err) {
		return
	}
	got := make(map[catalog.Entry]bool)
	for _, r := range refusals {
		got[r.Entry] = true
	}
	require.Equal(w, refused, got)
	require.Len(w, refusals, len(got), "each once")
	w.owners = next
}

func (w *world) owner(o Owner, err error) Owner {
	w.Helper()
	require.NoError(w, err)
	return o
}
