package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a CA that lives as long as the world, and the folder with what it signed.
type authority struct {
	folder      string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func (a *authority) path(name string) string { return filepath.Join(a.folder, name) }

func makeAuthority(t *testing.T, folder string) *authority {
	t.Helper()
	a := &authority{folder: folder}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test-ca"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.certificate, err = x509.ParseCertificate(der)
	must(t, err)
	writePem(t, a.path("ca.crt"), "CERTIFICATE", der)
	writeKey(t, a.path("ca.key"), a.key)

	a.sign(t, "apiserver", pkix.Name{CommonName: "kube-apiserver"}, "localhost", "kubernetes",
		"kubernetes.default", "kubernetes.default.svc", "127.0.0.1", address, "10.96.0.1")
	masters := []string{"system:masters"}
	a.sign(t, "admin", pkix.Name{CommonName: "admin", Organization: masters})
	a.sign(t, "apiserver-kubelet", pkix.Name{CommonName: "apiserver-kubelet", Organization: masters})
	a.sign(t, "controllers", pkix.Name{CommonName: "system:kube-controller-manager"})
	a.sign(t, "scheduler", pkix.Name{CommonName: "system:kube-scheduler"})
	a.sign(t, nodeName, pkix.Name{CommonName: "system:node:" + nodeName,
		Organization: []string{"system:nodes"}}, nodeName, address)
	for _, user := range []string{"admin", "controllers", "scheduler", nodeName} {
		a.writeKubeconfig(t, user)
	}
	a.makeServiceAccountKey(t)
	return a
}

// sign makes NAME.key and NAME.crt for a client and, with hosts, a server.
func (a *authority) sign(t *testing.T, name string, subject pkix.Name, hosts ...string) {
	t.Helper()
	key := newKey(t)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: a.certificate.NotBefore,
		NotAfter: a.certificate.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	must(t, err)
	writePem(t, a.path(name+".crt"), "CERTIFICATE", der)
	writeKey(t, a.path(name+".key"), key)
}

func (a *authority) kubeconfig(user string) string { return a.path(user + ".kubeconfig") }

func (a *authority) writeKubeconfig(t *testing.T, user string) {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%s:6443", certificate-authority: %s}}]
users: [{name: u, user: {client-certificate: %s, client-key: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, address, a.path("ca.crt"), a.path(user+".crt"), a.path(user+".key"))
	must(t, os.WriteFile(a.kubeconfig(user), []byte(text), 0o600))
}

// Tokens of service accounts are signed with it; the controller manager wants RSA.
func (a *authority) makeServiceAccountKey(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	writeKey(t, a.path("accounts.key"), key)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	writePem(t, a.path("accounts.pub"), "PUBLIC KEY", public)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func writeKey(t *testing.T, path string, key crypto.PrivateKey) {
	t.Helper()
	if rsaKey, ok := key.(*rsa.PrivateKey); ok {
		writePem(t, path, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))
		return
	}
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	must(t, err)
	writePem(t, path, "EC PRIVATE KEY", der)
}

func writePem(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	must(t, os.WriteFile(path, text, 0o600))
}
