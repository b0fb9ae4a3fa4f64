package admin

import (
	"net/http"
	"slices"
)

// knownRegions are those of voice connectors that everybody knows.
var knownRegions = []string{
	"ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1", "eu-west-1", "eu-west-2", "us-east-1", "us-west-2",
}

// listRegions lists the regions in use and the known ones. Any other name may be
// that of a region too.
func (p *chime) listRegions(w http.ResponseWriter, _ *http.Request) error {
	regions := slices.Clone(knownRegions)
	for _, c := range p.snapshot().Connectors {
		if c.Region != "" {
			regions = append(regions, c.Region)
		}
	}
	slices.Sort(regions)
	sayJSON(w, http.StatusOK, struct{ VoiceConnectorRegions []string }{slices.Compact(regions)})
	return nil
}
