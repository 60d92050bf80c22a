import COpenSSL
import Foundation

/// A P-256 key that OpenSSL's libcrypto generates, uses and encrypts. Its private bytes exist
/// inside libcrypto's memory only: what Swift sees are the encrypted PKCS#8 text, signatures and
/// signing requests.
///
/// `@unchecked Sendable`: the key is never changed after `init`, and libcrypto allows any number of
/// threads to sign with one `EVP_PKEY`, each with a context of its own (openssl-threads(7)).
package final class LibcryptoKey: WorkerKey, @unchecked Sendable {
  private let key: OpaquePointer

  /// Rounds of PBKDF2-HMAC-SHA256 between the passphrase and the file's AES-256 key. A generated
  /// passphrase needs none; one that a person chose does.
  private static let derivationRounds: Int32 = 200_000

  private init(adopting key: OpaquePointer) { self.key = key }

  deinit { EVP_PKEY_free(key) }

  /// Generates a new key.
  package static func generate() throws -> LibcryptoKey {
    guard let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else {
      throw LibcryptoError(doing: "preparing to generate a key")
    }
    defer { EVP_PKEY_CTX_free(context) }
    var generated: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
      EVP_PKEY_generate(context, &generated) == 1, let key = generated
    else { throw LibcryptoError(doing: "generating a P-256 key") }
    return LibcryptoKey(adopting: key)
  }

  /// Reads an encrypted PKCS#8 key in PEM. Throws when the passphrase is wrong, the file is not
  /// encrypted, or the key is not on P-256.
  package init(encryptedPEM text: String, passphrase: Passphrase) throws {
    let buffer = try LibcryptoBuffer(text)
    guard let encrypted = PEM_read_bio_PKCS8(buffer.bio, nil, nil, nil) else {
      throw LibcryptoError(doing: "reading the key file as encrypted PKCS#8")
    }
    defer { X509_SIG_free(encrypted) }
    let info = passphrase.withCharacters { PKCS8_decrypt(encrypted, $0, $1) }
    guard let info else {
      throw LibcryptoError(doing: "decrypting the key file (is the passphrase right?)")
    }
    defer { PKCS8_PRIV_KEY_INFO_free(info) }
    guard let key = EVP_PKCS82PKEY(info) else {
      throw LibcryptoError(doing: "reading the decrypted key")
    }
    guard Self.isP256(key) else {
      EVP_PKEY_free(key)
      throw LibcryptoError(doing: "using a key that is not on the curve P-256")
    }
    self.key = key
  }

  private static func isP256(_ key: OpaquePointer) -> Bool {
    guard EVP_PKEY_is_a(key, "EC") == 1 else { return false }
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    guard EVP_PKEY_get_group_name(key, &name, name.count, &length) == 1 else { return false }
    let bytes = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return ["prime256v1", "P-256"].contains(String(decoding: bytes, as: UTF8.self))
  }

  /// The key as encrypted PKCS#8 in PEM: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC.
  package func encryptedPEM(passphrase: Passphrase) throws -> String {
    guard let info = EVP_PKEY2PKCS8(key) else { throw LibcryptoError(doing: "encoding the key") }
    defer { PKCS8_PRIV_KEY_INFO_free(info) }
    guard
      let scheme = PKCS5_pbe2_set_iv(
        EVP_aes_256_cbc(), Self.derivationRounds, nil, 0, nil, NID_hmacWithSHA256)
    else { throw LibcryptoError(doing: "preparing the key's encryption") }
    let encrypted = passphrase.withCharacters { PKCS8_set0_pbe($0, $1, info, scheme) }
    guard let encrypted else {
      X509_ALGOR_free(scheme)
      throw LibcryptoError(doing: "encrypting the key")
    }
    defer { X509_SIG_free(encrypted) }
    let buffer = try LibcryptoBuffer()
    guard PEM_write_bio_PKCS8(buffer.bio, encrypted) == 1 else {
      throw LibcryptoError(doing: "writing the encrypted key")
    }
    return buffer.text()
  }

  /// ECDSA with SHA-256, in DER.
  package func signature(over message: Data) throws -> Data {
    guard let context = EVP_MD_CTX_new() else { throw LibcryptoError(doing: "EVP_MD_CTX_new") }
    defer { EVP_MD_CTX_free(context) }
    let bytes = Array(message)
    var length = 0
    guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1,
      EVP_DigestSign(context, nil, &length, bytes, bytes.count) == 1
    else { throw LibcryptoError(doing: "preparing a signature") }
    var signature = [UInt8](repeating: 0, count: length)
    guard EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1 else {
      throw LibcryptoError(doing: "signing")
    }
    return Data(signature.prefix(length))
  }

  /// PKCS#10 in PEM; 64 characters of `commonName` are kept.
  package func signingRequest(commonName: String) throws -> String {
    guard let request = X509_REQ_new() else { throw LibcryptoError(doing: "X509_REQ_new") }
    defer { X509_REQ_free(request) }
    // RFC 5280 allows 64 characters in a common name.
    let name = Array(String(commonName.unicodeScalars.prefix(64)).utf8)
    guard X509_REQ_set_version(request, 0) == 1,
      X509_NAME_add_entry_by_txt(
        X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8, name, Int32(name.count), -1, 0)
        == 1,
      X509_REQ_set_pubkey(request, key) == 1, X509_REQ_sign(request, key, EVP_sha256()) > 0
    else { throw LibcryptoError(doing: "building the signing request") }
    let buffer = try LibcryptoBuffer()
    guard PEM_write_bio_X509_REQ(buffer.bio, request) == 1 else {
      throw LibcryptoError(doing: "writing the signing request")
    }
    return buffer.text()
  }
}
