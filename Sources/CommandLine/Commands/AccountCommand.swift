import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation

/// What the public sees of accounts.
struct AccountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account", abstract: "Show accounts, and change what is public of them.",
    discussion: """
      Accounts are made by `tally invite`. One is named in public only when its owner agreed: with \
      `tally worker account set --public` on one of its machines, on its page, or by a word to the \
      operator, who notes it here. The same commands work while the coordinator runs.
      """,
    subcommands: [
      AccountListCommand.self, AccountSetCommand.self, AccountKeyCommand.self,
      AccountDeleteCommand.self,
    ],
    defaultSubcommand: AccountListCommand.self)
}

/// Lists accounts.
struct AccountListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List accounts.")

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  func run() async throws {
    let accounts = try await data.open().store.accounts()
    if json {
      try printJSON(accounts.map(AccountReport.init))
      return
    }
    var table = TextTable(
      .text("ACCOUNT"), .text("PUBLIC"), .text("TEAM"), .text("COUNTRY"), .text("URL"))
    for one in accounts {
      table.add(
        one.account.name, one.isNamed ? "yes" : "no", one.team ?? "", one.country ?? "",
        one.url ?? "")
    }
    Terminal.output.line(table.rendered())
  }
}

/// Changes an account.
struct AccountSetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Change what is known of an account.",
    discussion: """
      What is not given stays; an empty text removes. --email is shown to nobody: its digest joins \
      one person's statistics of several BOINC projects.

      EXAMPLES:
        tally account set ada --public --team "Analytical Engines"
        tally account set ada --private --email ""
      """)

  @Argument(help: "The account's name.")
  var account: String

  @Flag(
    name: .customLong("public"), help: "Its owner agreed that name and contribution are public.")
  var makesPublic = false

  @Flag(name: .customLong("private"), help: "Name it nowhere; it counts in totals only.")
  var makesPrivate = false

  @Option(help: "Its team, made when it is new.")
  var team: String?

  @Option(help: "The country's name in English.")
  var country: String?

  @Option(help: "A page about its owner.")
  var url: String?

  @Option(help: "The owner's address.")
  var email: String?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  func validate() throws {
    if makesPublic, makesPrivate {
      throw ValidationError("--public and --private exclude each other")
    }
  }

  func run() async throws {
    let change = AccountChange(
      isNamed: makesPublic ? true : makesPrivate ? false : nil, team: team, country: country,
      url: url, email: email)
    let folder = try data.open()
    let profile = try await folder.store.changeAccount(
      named: account, change, now: folder.now())
    if json {
      try printJSON(AccountReport(profile))
      return
    }
    let team = profile.team.map { "of team \($0)" } ?? "of no team"
    Terminal.output.line("\(account) is \(profile.isNamed ? "public" : "private"), \(team).")
  }
}

/// Makes keys of an account's page.
struct AccountKeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make a key for an account's page and show it, once.",
    discussion: """
      For its owner, who enters it on the dashboard at /account; `tally worker account key` makes \
      one without the operator. The coordinator keeps a hash only. The newest 20 keys of an \
      account work.

      EXAMPLES:
        tally account key ada
        tally account key ada --revoke
      """)

  @Argument(help: "The account's name.")
  var account: String

  @Flag(help: "Make no key; make those there are useless.")
  var revoke = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Report: Encodable {
    let account: String
    let key: String?
    let revoked: Int?
  }

  func run() async throws {
    let folder = try data.open()
    let (store, now) = (folder.store, try await folder.now())
    if revoke {
      let count = try await store.revokeAccountKeys(accountNamed: account, now: now)
      if json { return try printJSON(Report(account: account, key: nil, revoked: count)) }
      return Terminal.output.line("\(account): \(AccountKeyText.revoked(count))")
    }
    let key = AccountKey()
    try await store.createAccountKey(accountNamed: account, hash: key.hash, now: now)
    if json { return try printJSON(Report(account: account, key: key.text, revoked: nil)) }
    Terminal.output.line(key.text)
    Terminal.error.line(
      "It opens the page of \(account), at \(AccountKey.page), and is not shown again.")
  }
}

/// Forgets an account.
struct AccountDeleteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Forget who an account was.",
    discussion: """
      Its name and everything else that tells who it was is removed, its machines and invitations \
      are worth nothing any more, and BOINC's statistics list it as deleted. What it contributed \
      stays in the totals. This cannot be undone.
      """)

  @Argument(help: "The account's name.")
  var account: String

  @Flag(help: "Do not ask.")
  var yes = false

  @OptionGroup var data: DataOptions

  func run() async throws {
    let folder = try data.open()
    guard yes || Terminal.error.confirms("Forget account \(account) for good?") else {
      throw CommandError("nothing was changed; --yes does it without asking")
    }
    try await folder.store.deleteAccount(named: account, now: folder.now())
    Terminal.output.line("\(account) is forgotten.")
  }
}

/// An account as `--json` prints it.
private struct AccountReport: Encodable {
  let id: String
  let name: String
  let `public`: Bool
  let team: String?
  let country: String?
  let url: String?
  let created_at: Int

  init(_ profile: AccountProfile) {
    id = profile.account.id
    name = profile.account.name
    `public` = profile.isNamed
    team = profile.team
    country = profile.country
    url = profile.url
    created_at = profile.account.createdAt.seconds
  }
}
