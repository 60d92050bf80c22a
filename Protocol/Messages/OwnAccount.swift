/// The answer to `GET` and `POST /worker/v1/account`: what is known of the account that the asking
/// worker belongs to. An e-mail address, which the operator may have noted, is not sent back.
package struct OwnAccount: Codable, Hashable, Sendable {
  package var name: String
  /// Whether pages, lists and files may name the account. Else it counts in totals only.
  package var isPublic: Bool
  package var team: String?
  /// The country's English name.
  package var country: String?
  package var url: String?

  package init(
    name: String, isPublic: Bool, team: String? = nil, country: String? = nil, url: String? = nil
  ) {
    self.name = name
    self.isPublic = isPublic
    self.team = team
    self.country = country
    self.url = url
  }
}

/// `POST /worker/v1/account`: what is absent stays, an empty text removes.
package struct OwnAccountChange: Codable, Hashable, Sendable {
  package var versions: PeerVersions
  package var isPublic: Bool?
  package var team: String?
  package var country: String?
  package var url: String?

  package init(
    versions: PeerVersions = PeerVersions(), isPublic: Bool? = nil, team: String? = nil,
    country: String? = nil, url: String? = nil
  ) {
    self.versions = versions
    self.isPublic = isPublic
    self.team = team
    self.country = country
    self.url = url
  }
}

/// The answer to `POST /worker/v1/account/key`: a new key, which the coordinator keeps a hash of
/// only.
package struct OwnAccountKey: Codable, Hashable, Sendable {
  /// `tally-account-` and 43 letters, digits, `-` or `_`.
  package var key: String
  /// The path of the page on which to enter it.
  package var page: String

  package init(key: String, page: String) {
    self.key = key
    self.page = page
  }
}

/// The answer to `DELETE /worker/v1/account/key`.
package struct RevokedAccountKeys: Codable, Hashable, Sendable {
  /// Keys that opened the account's page until now.
  package var revoked: Int

  package init(revoked: Int) { self.revoked = revoked }
}
