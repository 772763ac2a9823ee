#include "volume/image_digest.h"

#include <array>
#include <cstring>

#include <openssl/evp.h>

namespace holdfast {
namespace {

constexpr size_t kSha256Bytes = 32;

}  // namespace

std::string Sha256(std::string_view data) {
  std::string digest(kSha256Bytes, '\0');
  EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

bool IsAllZero(std::string_view data) {
  return data.empty() ||
         (data[0] == '\0' && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

struct ImageDigest::State {
  struct Free {
    void operator()(EVP_MD_CTX* object) const { EVP_MD_CTX_free(object); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

ImageDigest::ImageDigest() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr);
}

ImageDigest::ImageDigest(ImageDigest&&) noexcept = default;
ImageDigest& ImageDigest::operator=(ImageDigest&&) noexcept = default;
ImageDigest::~ImageDigest() = default;

void ImageDigest::Add(uint64_t index, std::string_view chunk_sha256) {
  std::array<char, sizeof(index)> bytes{};
  for (char& byte : bytes) {
    byte = static_cast<char>(index & 0xff);
    index >>= 8;
  }
  EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
  EVP_DigestUpdate(state_->context.get(), chunk_sha256.data(), chunk_sha256.size());
}

std::string ImageDigest::Finish() {
  std::string digest(kSha256Bytes, '\0');
  EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(digest.data()),
                     nullptr);
  return digest;
}

}  // namespace holdfast
