import ArgumentParser
import Foundation
import WireProtocol
import WorkerDaemon

/// What a volunteer decides of the own account.
struct WorkerAccountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "account",
    abstract: "Show and change what is public of the account that this machine works for.",
    discussion: """
      Asks the running worker, which asks the coordinator: no key is needed but the worker's \
      certificate, so every machine of an account may do this. Nobody is named in public who did \
      not agree: until `tally worker account set --public` an account counts in totals only.

      EXAMPLES:
        tally worker account
        tally worker account set --public --team "Analytical Engines"
        tally worker account key
      """,
    subcommands: [Show.self, Set.self, Key.self], defaultSubcommand: Show.self)

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what the coordinator knows of the account.")

    @OptionGroup var folder: WorkerCommand.FolderOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
      try WorkerAccountCommand.show(
        await ControlSocket(dataFolder: folder.path).account(), json: json)
    }
  }

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Change it.",
      discussion: """
        What is not given stays; an empty text removes. Public means: the account's name, its \
        contribution and its machines' names are in the coordinator's pages, its lists, and the \
        files that statistics sites fetch. --private takes them out again; what others have copied \
        stays with them.

        EXAMPLES:
          tally worker account set --public
          tally worker account set --team "Analytical Engines" --country Ireland
          tally worker account set --private --url ""
        """)

    @OptionGroup var folder: WorkerCommand.FolderOptions

    @Flag(
      name: .customLong("public"), help: "Agree that name and contribution are public.")
    var makesPublic = false

    @Flag(name: .customLong("private"), help: "Be named nowhere; count in totals only.")
    var makesPrivate = false

    @Option(help: "The account's team, made when it is new.")
    var team: String?

    @Option(help: "The country's name in English.")
    var country: String?

    @Option(help: "A page about you, https://...")
    var url: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
      if makesPublic, makesPrivate {
        throw ValidationError("--public and --private exclude each other")
      }
      if !makesPublic, !makesPrivate, team == nil, country == nil, url == nil {
        throw ValidationError(
          "nothing to change: give --public, --private, --team, --country or --url")
      }
    }

    func run() async throws {
      let change = OwnAccountChange(
        isPublic: makesPublic ? true : makesPrivate ? false : nil, team: team, country: country,
        url: url)
      try WorkerAccountCommand.show(
        await ControlSocket(dataFolder: folder.path).changeAccount(change), json: json)
    }
  }

  struct Key: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key for the account's page, or make all of them useless.",
      discussion: """
        Open the address that is shown and enter the key there: the page shows what the account's \
        machines have contributed, and lets you change what is public. The key is shown once and \
        opens nothing else. The newest 20 keys of an account work.

        EXAMPLES:
          tally worker account key
          tally worker account key --revoke
        """)

    @OptionGroup var folder: WorkerCommand.FolderOptions

    @Flag(help: "Make no key; make those there are useless.")
    var revoke = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
      let socket = ControlSocket(dataFolder: folder.path)
      if revoke {
        let count = try await socket.revokeAccountKeys()
        if json { return try printJSON(RevokedAccountKeys(revoked: count)) }
        return Terminal.output.line(AccountKeyText.revoked(count))
      }
      let note = try await socket.makeAccountKey()
      if json { return try printJSON(note) }
      Terminal.output.line(note.key)
      Terminal.error.line("Enter it at \(note.page). It is not shown again.")
    }
  }

  fileprivate static func show(_ account: OwnAccount, json: Bool) throws {
    if json { return try printJSON(Report(account)) }
    var lines = [
      account.name
        + (account.isPublic ? " is public" : " is private: named nowhere, counted in totals only")
    ]
    for (name, value) in [
      ("team", account.team), ("country", account.country), ("url", account.url),
    ] {
      if let value {
        lines.append("  \(name.padding(toLength: 9, withPad: " ", startingAt: 0))\(value)")
      }
    }
    Terminal.output.line(lines.joined(separator: "\n"))
    if !account.isPublic {
      Terminal.error.line("To be named in public: tally worker account set --public")
    }
  }

  /// The account as `--json` prints it, with the keys of `tally account`.
  private struct Report: Encodable {
    let name: String
    let `public`: Bool
    let team: String?
    let country: String?
    let url: String?

    init(_ account: OwnAccount) {
      name = account.name
      `public` = account.isPublic
      team = account.team
      country = account.country
      url = account.url
    }
  }
}

/// What is said of account keys, by the operator's command and the volunteer's.
enum AccountKeyText {
  static func revoked(_ count: Int) -> String {
    count == 0
      ? "there was no key" : count == 1 ? "1 key is useless now" : "\(count) keys are useless now"
  }
}
