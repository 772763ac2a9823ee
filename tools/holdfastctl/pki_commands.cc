// pki init, issue: certificates for machines where nobody else makes them.
#include <chrono>
#include <ostream>

#include "base/clock.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "fmt/format.h"
#include "pki/certificates.h"

namespace holdfast::ctl {
namespace {

constexpr char kAuthority[] = "ca.crt", kAuthorityKey[] = "ca.key";
constexpr char kCertificate[] = "tls.crt", kPrivateKey[] = "tls.key";
constexpr uint64_t kMaxPemBytes = 64 * 1024;

// A new file, of its owner alone, durable when it returns.
absl::Status WriteFile(Host& host, const UniqueFd& folder, const std::string& name,
                       const std::string& text) {
  ASSIGN_OR_RETURN(const UniqueFd file, host.CreateFile(folder, name));
  RETURN_IF_ERROR(host.Write(file, 0, text));
  RETURN_IF_ERROR(host.Sync(file));
  return host.SyncFolder(folder);
}

// Whatever had that name is there until the new one is whole.
absl::Status ReplaceFile(Host& host, const UniqueFd& folder, const std::string& name,
                         const std::string& text) {
  const std::string half = name + ".new";
  RETURN_IF_ERROR(host.Remove(folder, half).status());
  RETURN_IF_ERROR(WriteFile(host, folder, half, text));
  RETURN_IF_ERROR(host.Remove(folder, name).status());
  RETURN_IF_ERROR(host.Rename(folder, half, folder, name));
  return host.SyncFolder(folder);
}

absl::StatusOr<std::string> ReadFile(Host& host, const UniqueFd& folder, const std::string& path,
                                     const std::string& name) {
  ASSIGN_OR_RETURN(const auto file, host.OpenFile(folder, name, Access::kReadOnly));
  if (file) return host.Read(*file, 0, kMaxPemBytes);
  return absl::FailedPreconditionError(
      fmt::format("{}: expected {}, found none; make an authority with 'holdfastctl pki init {}'",
                  path, name, path));
}

absl::StatusOr<CertificateAuthority> LoadAuthority(Host& host, const UniqueFd& folder,
                                                   const std::string& path) {
  ASSIGN_OR_RETURN(const std::string key, ReadFile(host, folder, path, kAuthorityKey));
  ASSIGN_OR_RETURN(const std::string certificate, ReadFile(host, folder, path, kAuthority));
  return CertificateAuthority::Load(key, certificate);
}

}  // namespace

absl::Status InitPkiCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(Host* const host, surroundings.host());
  ASSIGN_OR_RETURN(const UniqueFd folder, host->OpenFolder(request.folder));
  for (const char* name : {kAuthorityKey, kAuthority}) {
    ASSIGN_OR_RETURN(const auto size, host->FileSize(folder, name));
    if (!size) continue;
    return absl::FailedPreconditionError(
        fmt::format("{}: expected a folder without {}, found one; what it signed would be trusted "
                    "no more, so move it away first if that is meant",
                    request.folder, name));
  }
  ASSIGN_OR_RETURN(const CertificateAuthority authority,
                   CertificateAuthority::Create(SystemClock()));
  RETURN_IF_ERROR(WriteFile(*host, folder, kAuthorityKey, authority.private_key_pem()));
  RETURN_IF_ERROR(WriteFile(*host, folder, kAuthority, authority.certificate_pem()));
  surroundings.out << fmt::format(
      "{0}/{1} is the authority, {0}/{2} its key: keep that one from everybody\n", request.folder,
      kAuthority, kAuthorityKey);
  return absl::OkStatus();
}

absl::Status IssuePkiCommand(const Request& request, Surroundings& surroundings) {
  const Holder holder = request.node.empty() ? Holder{Holder::Role::kController, ""}
                                             : Holder{Holder::Role::kNode, request.node};
  ASSIGN_OR_RETURN(Host* const host, surroundings.host());
  ASSIGN_OR_RETURN(const UniqueFd folder, host->OpenFolder(request.folder));
  ASSIGN_OR_RETURN(const CertificateAuthority authority,
                   LoadAuthority(*host, folder, request.folder));
  ASSIGN_OR_RETURN(const std::string key, NewPrivateKey());
  ASSIGN_OR_RETURN(const std::string wish, NewSigningRequest(key));
  ASSIGN_OR_RETURN(
      const std::string certificate,
      authority.Sign(wish, holder, std::chrono::hours(24) * request.days, SystemClock()));
  const std::string name = request.node.empty() ? "controller" : "node-" + request.node;
  ASSIGN_OR_RETURN(const UniqueFd made, host->EnsureFolder(folder, name));
  RETURN_IF_ERROR(ReplaceFile(*host, made, kPrivateKey, key));
  RETURN_IF_ERROR(ReplaceFile(*host, made, kCertificate, certificate));
  RETURN_IF_ERROR(ReplaceFile(*host, made, kAuthority, authority.certificate_pem()));
  surroundings.out << fmt::format(
      "{0}/{1}: {2}, {3} and {4} of {5}, for {6} days; a program that uses them reads them again\n",
      request.folder, name, kAuthority, kCertificate, kPrivateKey, HolderUri(holder), request.days);
  return absl::OkStatus();
}

}  // namespace holdfast::ctl
