package config

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParseHundredThousand(b *testing.B) {
	var text strings.Builder
	text.WriteString("connectors:\n  - {name: a, hosts: [\"sip:10.0.0.1\"]}\ngroups:\n  - name: g\n    connectors: [{connector: a, priority: 1}]\n    numbers:\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "      - \"+1555%07d\"\n", i)
	}
	data := []byte(text.String())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse("bench.yaml", data, testWorld); err != nil {
			b.Fatal(err)
		}
	}
}
