package admin

import (
	"net/http"
	"strings"
	"time"

	"tandem/config/inventory"
)

// VoiceConnector is a connector in the Chime API.
type VoiceConnector struct {
	AwsRegion         string     `json:",omitempty"`
	CreatedTimestamp  *time.Time `json:",omitempty"`
	Name              string
	NetworkType       string
	RequireEncryption bool
	UpdatedTimestamp  *time.Time `json:",omitempty"`
	VoiceConnectorId  string
}

func voiceConnector(c *inventory.Connector) VoiceConnector {
	v := VoiceConnector{
		AwsRegion: c.Region, CreatedTimestamp: stamp(c.Created), Name: c.Name, NetworkType: "IPV4_ONLY",
		UpdatedTimestamp: stamp(c.Updated), VoiceConnectorId: c.ID,
	}
	for _, h := range c.Hosts {
		if strings.Contains(h.URI, "[") {
			v.NetworkType = "DUAL_STACK"
		}
	}
	return v
}

// defaultRegion is that of a voice connector of which none is said.
const defaultRegion = "us-east-1"

func (p *chime) createConnector(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "create connector")
	if err != nil {
		return err
	}
	var body struct {
		Name              *string `json:"Name"`
		AwsRegion         *string `json:"AwsRegion"`
		RequireEncryption *bool   `json:"RequireEncryption"`
		IntegrationType   *string `json:"IntegrationType"`
		NetworkType       *string `json:"NetworkType"`
		Tags              []tag   `json:"Tags"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := first(
		flag("RequireEncryption", body.RequireEncryption, true, false, noEncryption),
		notKept("IntegrationType", optional(body.IntegrationType) != "", "there is no Amazon Connect here"),
		notKept("NetworkType", optional(body.NetworkType) != "" && *body.NetworkType != "IPV4_ONLY", "the addresses of the routes decide it; leave it out"),
		notKept("Tags", len(body.Tags) > 0, "there are no tags here"),
	); err != nil {
		return err
	}
	spec := inventory.ConnectorSpec{Name: optional(body.Name), Region: optional(body.AwsRegion)}
	if spec.Region == "" {
		spec.Region = defaultRegion
	}
	edit, err := m.Edit(r.Context(), a, func(e *inventory.Editor) (inventory.Change, error) { return e.CreateConnector(spec) })
	if err != nil {
		return err
	}
	sayConnector(w, http.StatusCreated, edit.Connectors[0].After)
	return nil
}

const noEncryption = "calls go out over UDP in this version"

type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

func sayConnector(w http.ResponseWriter, code int, c *inventory.Connector) {
	sayJSON(w, code, struct{ VoiceConnector VoiceConnector }{voiceConnector(c)})
}

// theConnector is the one in the path.
func (p *chime) theConnector(r *http.Request) (*inventory.Connector, error) {
	ref, err := refOf(r, "ref")
	if err != nil {
		return nil, err
	}
	return p.snapshot().Connector(ref)
}

func (p *chime) getConnector(w http.ResponseWriter, r *http.Request) error {
	c, err := p.theConnector(r)
	if err != nil {
		return err
	}
	sayConnector(w, http.StatusOK, c)
	return nil
}

func (p *chime) listConnectors(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := paging(r)
	if err != nil {
		return err
	}
	s := p.snapshot()
	from, to, next := pageOf(len(s.Connectors), func(i int) string { return s.Connectors[i].Name }, after, limit)
	list := struct {
		NextToken       string `json:",omitempty"`
		VoiceConnectors []VoiceConnector
	}{token(next), []VoiceConnector{}}
	for i := from; i < to; i++ {
		list.VoiceConnectors = append(list.VoiceConnectors, voiceConnector(&s.Connectors[i]))
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

func (p *chime) updateConnector(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "update connector")
	if err != nil {
		return err
	}
	var body struct {
		Name              *string `json:"Name"`
		RequireEncryption *bool   `json:"RequireEncryption"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := flag("RequireEncryption", body.RequireEncryption, true, false, noEncryption); err != nil {
		return err
	}
	is, err := p.editConnector(m, a, r, func(e *inventory.Editor, c *inventory.Connector) (inventory.Change, error) {
		spec := c.ConnectorSpec
		spec.Name = optional(body.Name)
		return e.UpdateConnector(c.ID, spec)
	})
	if err != nil {
		return err
	}
	sayConnector(w, http.StatusOK, is)
	return nil
}
