package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
)

// PhoneNumber is a number in the Chime API. Ranges and prefixes are not there.
type PhoneNumber struct {
	Associations     []PhoneNumberAssociation
	Capabilities     map[string]bool
	CreatedTimestamp *time.Time `json:",omitempty"`
	E164PhoneNumber  string
	PhoneNumberId    string
	ProductType      string
	Status           string
	UpdatedTimestamp *time.Time `json:",omitempty"`
}

// PhoneNumberAssociation is whom a number belongs to.
type PhoneNumberAssociation struct {
	AssociatedTimestamp *time.Time `json:",omitempty"`
	Name                string     // VoiceConnectorId or VoiceConnectorGroupId
	Value               string
}

// PhoneNumberError is why nothing became of a number.
type PhoneNumberError struct {
	ErrorCode     string
	ErrorMessage  string
	PhoneNumberId string
}

// Words of that API.
const (
	voiceConnectorID      = "VoiceConnectorId"
	voiceConnectorGroupID = "VoiceConnectorGroupId"
	productVoice          = "VoiceConnector"
	productDialIn         = "SipMediaApplicationDialIn"
	statusAssigned        = "Assigned"
	statusUnassigned      = "Unassigned"
)

// otherStatuses are of numbers that are not here.
var otherStatuses = []string{
	"Cancelled", "PortinCancelRequested", "PortinInProgress", "AcquireInProgress", "AcquireFailed", "ReleaseInProgress", "DeleteInProgress", "ReleaseFailed", "DeleteFailed",
}

func phoneNumber(n *inventory.Number) PhoneNumber {
	v := PhoneNumber{
		Associations: []PhoneNumberAssociation{}, Capabilities: map[string]bool{
			"InboundCall": true, "InboundMMS": false, "InboundSMS": false, "OutboundCall": false, "OutboundMMS": false, "OutboundSMS": false,
		},
		CreatedTimestamp: stamp(n.Created), E164PhoneNumber: n.Entry.String(), PhoneNumberId: n.Entry.String(),
		ProductType: productVoice, Status: statusUnassigned, UpdatedTimestamp: stamp(n.Updated),
	}
	name := ""
	switch n.Owner.Kind {
	case inventory.ConnectorOwner:
		name = voiceConnectorID
	case inventory.GroupOwner:
		name = voiceConnectorGroupID
	default:
		return v
	}
	v.Status = statusAssigned
	v.Associations = append(v.Associations, PhoneNumberAssociation{stamp(n.Updated), name, n.Owner.ID})
	return v
}

// e164 reads numbers as that API has them: no ranges, no prefixes.
func e164(field string, numbers []string) ([]catalog.Entry, error) {
	if len(numbers) == 0 {
		return nil, invalid(field, "is empty; write phone numbers")
	}
	entries, err := entriesOf(numbers)
	if err != nil {
		if f, ok := err.(*Failure); ok {
			f.Field = strings.Replace(f.Field, "numbers", field, 1)
		}
		return nil, err
	}
	for _, e := range entries {
		if e.Kind != catalog.Exact {
			return nil, invalid(field, "has %s; ranges and prefixes are managed at /v1/numbers", e)
		}
	}
	return entries, nil
}

// connectorNumbers associates numbers with a voice connector, or ends that.
func (p *chime) connectorNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.numbersFor(w, r, func(s *inventory.Snapshot, ref string) (inventory.Owner, error) { return s.OwnerOf(ref, "") })
}

// groupNumbers does so with a group.
func (p *chime) groupNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.numbersFor(w, r, func(s *inventory.Snapshot, ref string) (inventory.Owner, error) { return s.OwnerOf("", ref) })
}

func (p *chime) numbersFor(w http.ResponseWriter, r *http.Request, ownerOf func(*inventory.Snapshot, string) (inventory.Owner, error)) error {
	m, a, err := p.change(r, "", "operation")
	if err != nil {
		return err
	}
	ref, err := refOf(r, "ref")
	if err != nil {
		return err
	}
	var op func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error)
	var entries []catalog.Entry
	switch operation := r.URL.Query().Get("operation"); operation {
	case "associate-phone-numbers":
		var body struct {
			E164PhoneNumbers []string `json:"E164PhoneNumbers"`
			ForceAssociate   *bool    `json:"ForceAssociate"`
		}
		if err := read(r, &body); err != nil {
			return err
		}
		a.What = "assign numbers"
		op = func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error) {
			return e.AssignNumbers(found, owner, body.ForceAssociate != nil && *body.ForceAssociate)
		}
		entries, err = e164("E164PhoneNumbers", body.E164PhoneNumbers)
	case "disassociate-phone-numbers":
		var body struct {
			E164PhoneNumbers []string `json:"E164PhoneNumbers"`
		}
		if err := read(r, &body); err != nil {
			return err
		}
		a.What = "unassign numbers"
		op = func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error) {
			return e.UnassignNumbers(found, &owner)
		}
		entries, err = e164("E164PhoneNumbers", body.E164PhoneNumbers)
	default:
		return invalid("operation", "is %q; write associate-phone-numbers or disassociate-phone-numbers", printed(operation))
	}
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		owner, err := ownerOf(e.Snapshot, ref)
		if err != nil {
			return inventory.Change{}, nil, err
		}
		return op(e, found, owner)
	})
	if err != nil {
		return err
	}
	answer := struct{ PhoneNumberErrors []PhoneNumberError }{[]PhoneNumberError{}}
	for _, one := range refusals {
		answer.PhoneNumberErrors = append(answer.PhoneNumberErrors, PhoneNumberError{
			chimeErrors[refusalCode(one.Refusal.Reason)].name, one.Refusal.Text, one.Entry.String(),
		})
	}
	sayJSON(w, http.StatusOK, answer)
	return nil
}

func (p *chime) getNumber(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored()
	if err != nil {
		return err
	}
	n, err := p.theNumber(r.Context(), m, r.PathValue("number"))
	if err != nil {
		return err
	}
	sayJSON(w, http.StatusOK, struct{ PhoneNumber PhoneNumber }{phoneNumber(n)})
	return nil
}

func (p *chime) theNumber(ctx context.Context, m *manage.Manager, text string) (*inventory.Number, error) {
	n, err := oneOf(ctx, m, text)
	if err == nil && n.Entry.Kind != catalog.Exact {
		return nil, invalid("PhoneNumberId", "is no number; ranges and prefixes are managed at /v1/numbers")
	}
	return n, err
}

func (p *chime) deleteNumber(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "remove numbers")
	if err != nil {
		return err
	}
	n, err := p.theNumber(r.Context(), m, r.PathValue("number"))
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, []catalog.Entry{n.Entry}, (*inventory.Editor).RemoveNumbers)
	if err == nil && len(refusals) > 0 {
		why := *refusals[0].Refusal
		why.Text = n.Entry.String() + " " + why.Text
		err = &why
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
