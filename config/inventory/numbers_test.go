package inventory

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// numbersOf returns what the account of tests has of numbers.
func numbersOf(t *testing.T, e *Editor) (found map[string]Found) {
	found = make(map[string]Found)
	for text, owner := range map[string]Owner{
		"+15550000001": group(t, e, "support"), "+15550001000-+15550001999": group(t, e, "support"),
		"+15550000002": connector(t, e, "east"), "+15550000003": {}, "+1777*": {},
	} {
		found[text] = Found{entry(text), &Number{Entry: entry(text), Owner: owner, Revision: 5, Created: then.Truncate(time.Second), Updated: then.Truncate(time.Second)}}
	}
	for _, text := range []string{"+1999", "+1998"} {
		found[text] = Found{Entry: entry(text)}
	}
	return found
}

// pick returns what is found of numbers, in the order given.
func pick(found map[string]Found, numbers ...string) (list []Found) {
	for _, n := range numbers {
		f, ok := found[n]
		if !ok {
			f.Entry = entry(n)
		}
		list = append(list, f)
	}
	return list
}

// became is what each number of a change belongs to after it, or "removed".
func became(s *Snapshot, c Change) map[string]string {
	m := make(map[string]string)
	for _, n := range c.Numbers {
		if n.After == nil {
			m[n.Before.Entry.String()] = "removed"
			continue
		}
		m[n.After.Entry.String()] = s.OwnerName(n.After.Owner)
	}
	return m
}

func why(refusals []NumberRefusal) map[string]Refusal {
	m := make(map[string]Refusal)
	for _, r := range refusals {
		m[r.Entry.String()] = *r.Refusal
	}
	return m
}

func TestAddNumbers(t *testing.T) {
	e := account(t)
	found, s := numbersOf(t, e), e.Snapshot
	c, no, err := e.AddNumbers(pick(found, "+1999", "+15550000001", "+15550000002", "+1999", "+15550000003", "+1998", "+15550000002"), group(t, e, "support"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"+1999": `group "support"`, "+1998": `group "support"`}, became(s, c))
	require.Equal(t, map[string]Refusal{
		"+15550000002": {Reason: Taken, Text: `is in the inventory already and belongs to connector "east"; assign it, if it is to move`, Blocking: []string{`connector "east"`}},
		"+15550000003": {Reason: Taken, Text: "is in the inventory already, unassigned; assign it"},
	}, why(no))
	require.Len(t, no, 2)
	require.Equal(t, &Number{Entry: entry("+1999"), Owner: group(t, e, "support"), Created: now.Truncate(time.Second), Updated: now.Truncate(time.Second)}, c.Numbers[0].After)
	require.Nil(t, c.Numbers[0].Before)

	c, no, err = e.AddNumbers(pick(found, "+15550000003"), Owner{})
	require.NoError(t, err)
	require.Empty(t, no)
	require.Equal(t, Change{}, c)

	_, _, err = e.AddNumbers(nil, Owner{GroupOwner, "gone"})
	require.EqualError(t, err, `there is no group "gone"; create it, or correct the name`)
	_, no, err = e.AddNumbers([]Found{{}, {Entry: catalog.Entry{First: 7}}, {Entry: catalog.Entry{First: 1 << 63}}, {Entry: catalog.Entry{First: 1 << 51}}, {Entry: catalog.Entry{First: 11, Last: 12}},
		{Entry: catalog.Entry{Kind: catalog.Range, First: 11, Last: 112}}, {Entry: catalog.Entry{Kind: 9, First: 11}}}, Owner{})
	require.NoError(t, err)
	require.Len(t, no, 6, "2^51 alone is a number: +251799813685248")
	require.Equal(t, "is no number; write one, a range A-B or a prefix X*", no[5].Refusal.Text)
}

// A connector in several groups has no numbers, and the whole operation fails.
func TestNumbersOfMember(t *testing.T) {
	e := account(t)
	found := numbersOf(t, e)
	want := Refusal{
		Reason: InUse, Blocking: []string{`group "sales"`, `group "support"`},
		Text: `a connector with numbers of its own falls back on its group, but "west" is in 2 groups (group "sales", group "support"); remove it from all but one, or assign the numbers to a group`,
	}
	_, _, err := e.AddNumbers(pick(found, "+1999"), connector(t, e, "west"))
	require.Equal(t, &want, err)
	_, _, err = e.AssignNumbers(pick(found, "+15550000003"), connector(t, e, "west"), true)
	require.Equal(t, &want, err)
	must(t, e)(e.RemoveMember("sales", "west"))
	must(t, e)(add(e, connector(t, e, "west"), "+1999"))
	require.Equal(t, InUse, refused(t)(e.AddMember("sales", "west", 1)).Reason)
}

func TestAssignNumbers(t *testing.T) {
	e := account(t)
	found, s := numbersOf(t, e), e.Snapshot
	all := pick(found, "+15550000001", "+15550000002", "+15550000003", "+1999", "+1777*", "+15550000001")
	c, no, err := e.AssignNumbers(all, group(t, e, "sales"), false)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"+15550000003": `group "sales"`, "+1777*": `group "sales"`}, became(s, c))
	require.Equal(t, map[string]Refusal{
		"+15550000001": {Reason: Taken, Text: `belongs to group "support"; unassign it first, or force the assignment`, Blocking: []string{`group "support"`}},
		"+15550000002": {Reason: Taken, Text: `belongs to connector "east"; unassign it first, or force the assignment`, Blocking: []string{`connector "east"`}},
		"+1999":        {Reason: NotFound, Text: "is not in the inventory; add it first, or correct the number"},
	}, why(no))
	c, no, err = e.AssignNumbers(all, group(t, e, "support"), true)
	require.NoError(t, err)
	require.Len(t, no, 1)
	require.Len(t, c.Numbers, 3, "one is there already")
	after := *c.Numbers[0].Before
	after.Owner, after.Updated = group(t, e, "support"), now.Truncate(time.Second)
	require.Equal(t, &after, c.Numbers[0].After)

	_, _, err = e.AssignNumbers(all, Owner{}, true)
	require.EqualError(t, err, "to: is missing; name a group or a connector, or unassign the numbers")
	_, _, err = e.AssignNumbers(all, Owner{ConnectorOwner, "gone"}, true)
	require.EqualError(t, err, `there is no connector "gone"; create it, or correct the name`)
}

func TestUnassignNumbers(t *testing.T) {
	e := account(t)
	found, s := numbersOf(t, e), e.Snapshot
	all := pick(found, "+15550000001", "+15550000002", "+15550000003", "+1999")
	c, no, err := e.UnassignNumbers(all, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"+15550000001": "nobody", "+15550000002": "nobody"}, became(s, c))
	require.Len(t, no, 1)
	east := connector(t, e, "east")
	c, no, err = e.UnassignNumbers(all, &east)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"+15550000002": "nobody"}, became(s, c))
	require.Equal(t, Refusal{Reason: Taken, Text: `belongs to group "support", not to connector "east"; unassign it there`, Blocking: []string{`group "support"`}}, why(no)["+15550000001"])
	require.Equal(t, NotFound, why(no)["+1999"].Reason)
}

func TestRemoveNumbers(t *testing.T) {
	e := account(t)
	found, s := numbersOf(t, e), e.Snapshot
	c, no, err := e.RemoveNumbers(pick(found, "+15550000001", "+15550000003", "+1777*", "+1999", "+15550000003"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"+15550000003": "removed", "+1777*": "removed"}, became(s, c))
	require.Equal(t, map[string]Refusal{
		"+15550000001": {Reason: InUse, Text: `belongs to group "support"; unassign it first`, Blocking: []string{`group "support"`}},
		"+1999":        {Reason: NotFound, Text: "is not in the inventory; add it first, or correct the number"},
	}, why(no))
	next := s.With(c, 99)
	require.Empty(t, next.Counts[Owner{}])
	require.Equal(t, uint64(99), next.Revision, "a prefix is part of the snapshot")
	require.Len(t, next.Spans, 1)
}

// Exact numbers alone do not move the Snapshot's revision.
func TestExactNumbersKeepRevision(t *testing.T) {
	e := account(t)
	c, err := add(e, Owner{}, "+1999")
	require.NoError(t, err)
	next := e.Snapshot.With(c, 99)
	require.Equal(t, e.Snapshot.Revision, next.Revision)
	require.Equal(t, e.Snapshot.Counts[Owner{}]+1, next.Counts[Owner{}])
}

func TestSpanRules(t *testing.T) {
	for _, test := range []struct {
		there, added string
		text         string // "" if the two can be
	}{
		{"100-199", "150-250", "overlaps range 100-199 of %s; a number has one owner, so let them not overlap"},
		{"100-199", "50-99", ""},
		{"100-199", "200-299", ""},
		{"100-199", "199-200", "overlaps range 100-199 of %s; a number has one owner, so let them not overlap"},
		{"100-199", "110-120", "overlaps range 100-199 of %s; a number has one owner, so let them not overlap"},
		{"110-120", "100-199", "overlaps range 110-120 of %s; a number has one owner, so let them not overlap"},
		{"100-199", "+100-+199", ""},
		{"100-199", "0100-0199", ""},
		{"100-199", "1*", ""},
		{"100-199", "10*", "overlaps range 100-199 of %s; put the range wholly inside the prefix or wholly outside"},
		{"100-199", "199*", "overlaps range 100-199 of %s; put the range wholly inside the prefix or wholly outside"},
		{"100-199", "1990*", ""},
		{"100-199", "2*", ""},
		{"190-210", "1*", "overlaps range 190-210 of %s; put the range wholly inside the prefix or wholly outside"},
		{"190-210", "2*", "overlaps range 190-210 of %s; put the range wholly inside the prefix or wholly outside"},
		{"190-210", "20*", "overlaps range 190-210 of %s; put the range wholly inside the prefix or wholly outside"},
		{"100-200", "1*", "overlaps range 100-200 of %s; put the range wholly inside the prefix or wholly outside"},
		{"199-200", "2*", "overlaps range 199-200 of %s; put the range wholly inside the prefix or wholly outside"},
		{"1*", "100-199", ""},
		{"1*", "190-210", "overlaps prefix 1* of %s; put the range wholly inside the prefix or wholly outside"},
		{"20*", "190-215", "overlaps prefix 20* of %s; put the range wholly inside the prefix or wholly outside"},
		{"+1*", "100-199", ""},
		{"1*", "12*", ""},
		{"12*", "1*", ""},
		{"100-199", "150", ""},
		{"1*", "150", ""},
	} {
		t.Run(test.there+" "+test.added, func(t *testing.T) {
			e := account(t)
			owner := group(t, e, "sales")
			together, no, err := e.AddNumbers([]Found{{Entry: entry(test.there)}, {Entry: entry(test.added)}}, owner)
			require.NoError(t, err)
			must(t, e)(add(e, owner, test.there))
			_, later, err := e.AddNumbers([]Found{{Entry: entry(test.added)}}, owner)
			require.NoError(t, err)
			require.Equal(t, later, no, "in one operation or in two")
			if test.text == "" {
				require.Empty(t, no)
				require.Len(t, together.Numbers, 2)
				return
			}
			require.Len(t, no, 1)
			require.Equal(t, Refusal{Reason: Taken, Text: fmt.Sprintf(test.text, `group "sales"`), Blocking: []string{test.there}}, *no[0].Refusal)
		})
	}
	e := account(t)
	_, no, err := e.AddNumbers([]Found{{Entry: entry("+17770-+17779")}, {Entry: entry("+1770-+1780")}, {Entry: entry("+1777*")}}, Owner{})
	require.NoError(t, err)
	require.Equal(t, "overlaps prefix +1777*, which is unassigned; put the range wholly inside the prefix or wholly outside", why(no)["+1770-+1780"].Text)
	require.Equal(t, "is in the inventory already: +1777*, which is unassigned", why(no)["+1777*"].Text)
	require.Len(t, no, 2)
}

// Ten thousand numbers in one operation, beside as many connectors and ranges.
func BenchmarkAddNumbers(b *testing.B) {
	s := &Snapshot{Counts: map[Owner]int{}}
	for i := range 2000 {
		id := fmt.Sprintf("%022d", i)
		s.Groups = append(s.Groups, Group{Meta{ID: id}, GroupSpec{Name: fmt.Sprintf("group%06d", i)}})
		s.Counts[Owner{GroupOwner, id}] = 1
	}
	for i := range 10_000 {
		s.Spans = append(s.Spans, Number{Entry: entry(fmt.Sprintf("+2%05d0-+2%05d9", i, i))})
	}
	for _, kind := range []string{"+1555%07d", "+1555%06d0-+1555%06[1]d9", "+1%06d*"} {
		b.Run(kind, func(b *testing.B) {
			found := make([]Found, 10_000)
			for i := range found {
				found[i].Entry = entry(fmt.Sprintf(kind, 9999-i))
			}
			e := &Editor{Snapshot: s, Now: now}
			for b.Loop() {
				c, no, err := e.AddNumbers(found, s.Groups[7].owner())
				if err != nil || len(no) > 0 || len(c.Numbers) != len(found) {
					b.Fatal(err, len(no))
				}
				s.With(c, 2)
			}
		})
	}
}
