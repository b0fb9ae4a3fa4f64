module tandem/bench

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/puzpuzpuz/xsync/v3 v3.5.1
	github.com/puzpuzpuz/xsync/v4 v4.5.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	tandem v0.0.0
)

require go.etcd.io/bbolt v1.5.0 // indirect

replace tandem => ../
