package table
import ("testing";"fmt";"math/rand/v2")
func TestDistTmp(t *testing.T) {
	for _, kind := range []string{"dense","stride1000","random"} {
	for seed := range 3 {
		a := newWords(20, newMixer())
		n := 0
		next := uint64(100)
		for i := 0; ; i++ {
			var o uint64
			switch kind {
			case "dense": o = 1111111111111111+211111111111+uint64(i)
			case "stride1000": o = 1111111111111111+211111111111+uint64(i)*1000
			default: o = rand.Uint64N(1111111111111111)
			}
			if _, ok := a.insert(keyAt(o), 1); !ok { fmt.Println(kind, seed, "full at", float64(n)/float64(4<<20)); break }
			n++
			if l := uint64(n)*100/(4<<20); l > next || (next==100 && l>=40) {
				if l%10==0 || l == 75 {
				var d [33]int; m := uint64(0); passed:=0
				for at := range a.groups { for s := range a.groups[at] { w := a.groups[at][s].Load(); x := a.distance(w); d[x]++; m = max(m, x) }
				if a.groups[at][0].Load()&a.passed()!=0 {passed++} }
				fmt.Printf("%s %d load %d%% max %d home %.3f second %.3f passed %.3f\n", kind, seed, l, m, float64(d[1])/float64(n), float64(d[2])/float64(n), float64(passed)/float64(1<<20))
				}
				next = l
			}
		}
	}}
}
