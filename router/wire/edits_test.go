package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

func TestEdits(t *testing.T) {
	const data = "0123456789"
	all := spanOf(data)
	at := func(start, end uint32) wire.Span { return wire.Span{Start: start, End: end} }
	tests := []struct {
		name string
		part wire.Span
		edit func(e *wire.Edits)
		want string
	}{
		{"none", all, func(*wire.Edits) {}, data},
		{"replace", all, func(e *wire.Edits) { e.Replace(at(2, 4), []byte("ab")) }, "01ab456789"},
		{"delete", all, func(e *wire.Edits) { e.Delete(at(0, 9)) }, "9"},
		{"insert at both ends", all, func(e *wire.Edits) { e.Insert(10, []byte(">")); e.Insert(0, []byte("<")) }, "<0123456789>"},
		{"any order", all, func(e *wire.Edits) {
			e.Delete(at(8, 9))
			e.Insert(5, []byte("x"))
			e.Replace(at(0, 1), []byte("y"))
			e.Insert(5, []byte("z"))
		}, "y1234xz5679"},
		{"insertions before what replaces", all, func(e *wire.Edits) {
			e.Replace(at(3, 5), []byte("R"))
			e.Insert(3, []byte("a"))
			e.Insert(5, []byte("c"))
			e.Insert(3, []byte("b"))
		}, "012abRc56789"},
		{"neighbours", all, func(e *wire.Edits) { e.Delete(at(4, 6)); e.Delete(at(2, 4)) }, "016789"},
		{"a part takes the edits that lie in it", at(2, 6), func(e *wire.Edits) {
			e.Insert(1, []byte("no"))
			e.Insert(2, []byte("<"))
			e.Insert(6, []byte(">"))
			e.Delete(at(5, 7))
			e.Delete(at(3, 4))
		}, "<245>"},
		{"of two that overlap the later is left out", all, func(e *wire.Edits) { e.Delete(at(2, 6)); e.Replace(at(4, 8), []byte("x")) }, "016789"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var e wire.Edits
			e.Reset([]byte("something else"))
			e.Delete(at(0, 3))
			e.Reset([]byte(data))
			test.edit(&e)
			require.Equal(t, "+"+test.want, string(e.Apply([]byte("+"), test.part)))
			require.Equal(t, test.want, string(e.Apply(nil, test.part)), "and again")
		})
	}
}
