import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation

/// The statistics files that BOINC's statistics sites fetch from a project: names and order of
/// elements as its `db_dump` writes them. Accounts are in it that consented and have credit;
/// machines of others are listed without an account; totals count everyone.
///
/// <https://github.com/BOINC/boinc/wiki/CreditStats>
package struct BOINCExport: Sendable {
  /// A file's name, and its text before compression.
  package struct File: Hashable, Sendable {
    package var name: String
    package var text: String
    package var isCompressed: Bool { name.hasSuffix(".gz") }
  }

  private let export: StatisticsExport

  package init(_ export: StatisticsExport) { self.export = export }

  /// All files. `tables.xml` comes last: whoever sees it new finds the others new as well.
  package var files: [File] {
    [
      File(
        name: "user.gz",
        text: document("users") { xml in
          for one in export.accounts { user(one, &xml) }
        }),
      File(
        name: "team.gz",
        text: document("teams") { xml in
          for one in export.teams { team(one, &xml) }
        }),
      File(
        name: "host.gz",
        text: document("hosts") { xml in
          for one in export.workers { host(one, &xml) }
        }),
      File(
        name: "user_deleted.gz",
        text: document("users_deleted") { xml in
          for one in export.deletedAccounts { deleted("user", "cpid", one, &xml) }
        }),
      File(
        name: "host_deleted.gz",
        text: document("hosts_deleted") { xml in
          for one in export.deletedWorkers { deleted("host", "host_cpid", one, &xml) }
        }),
      File(name: "tables.xml", text: document("tables", tables)),
    ]
  }

  private func document(_ root: String, _ body: (inout XMLWriter) -> Void) -> String {
    var xml = XMLWriter()
    xml.element(root, body)
    return xml.text
  }

  private func tables(_ xml: inout XMLWriter) {
    xml.element("update_time", export.takenAt.seconds)
    xml.element("nusers_total", export.accountsTotal)
    xml.element("nteams_total", export.teamsTotal)
    xml.element("nhosts_total", export.workersTotal)
    xml.element("nusers_deleted_total", export.deletedAccounts.count)
    xml.element("nhosts_deleted_total", export.deletedWorkers.count)
    xml.element("total_credit", export.credit.value)
    xml.element("applications") { xml in
      xml.element("application") { $0.element("name", "generate") }
    }
    xml.element("badges") { xml in
      for badge in Badge.all {
        xml.element("badge") { xml in
          xml.element("id", badge.id)
          xml.element("name", badge.name)
          xml.element("title", badge.title)
          xml.element("image_url", "")
        }
      }
    }
  }

  private func user(_ account: StatisticsExport.Account, _ xml: inout XMLWriter) {
    xml.element("user") { xml in
      xml.element("id", account.number)
      xml.element("name", account.name)
      xml.element("create_time", account.createdAt.seconds)
      standing(account.standing, &xml)
      xml.element("cpid", Self.identifier(account.crossProjectID + (account.email ?? "")))
      if let country = account.country { xml.element("country", country) }
      if let url = account.url { xml.element("url", url) }
      if let team = account.team { xml.element("teamid", team) }
    }
  }

  private func team(_ team: StatisticsExport.Team, _ xml: inout XMLWriter) {
    xml.element("team") { xml in
      xml.element("id", team.id)
      // BOINC's type of a team; 1 is "none".
      xml.element("type", 1)
      xml.element("name", team.name)
      xml.element("userid", team.founder)
      standing(team.standing, &xml)
      if let founder = team.founderName { xml.element("founder_name", founder) }
      xml.element("create_time", team.createdAt.seconds)
      xml.element("country", "None")
    }
  }

  /// What a coordinator does not know of a machine is empty or 0, as in BOINC's own files of hosts
  /// that hide it.
  private func host(_ worker: StatisticsExport.Worker, _ xml: inout XMLWriter) {
    xml.element("host") { xml in
      xml.element("id", worker.number)
      if let account = worker.account { xml.element("userid", account) }
      standing(worker.standing, &xml)
      let machine = worker.machine
      xml.element("p_vendor", machine?.processorVendor ?? "")
      xml.element("p_model", machine?.processorModel ?? "")
      xml.element("os_name", machine?.systemName ?? "")
      xml.element("os_version", machine?.systemVersion ?? "")
      xml.element("create_time", worker.createdAt.seconds)
      xml.element("rpc_time", worker.lastSeen?.seconds ?? 0)
      xml.element("timezone", 0)
      xml.element("ncpus", machine?.processors ?? 0)
      xml.element("p_fpops", worker.flopsPerSecond ?? 0)
      for name in ["p_iops", "p_membw"] { xml.element(name, 0.0) }
      xml.element("m_nbytes", Double(machine?.memoryBytes ?? 0))
      for name in ["m_cache", "m_swap", "d_total", "d_free"] { xml.element(name, 0.0) }
      xml.element("n_bwup", 0.0)
      xml.element("n_bwdown", 0.0)
      xml.element("avg_turnaround", worker.turnaroundSeconds)
      xml.element("credit_per_cpu_sec", 0.0)
      xml.element("host_cpid", Self.identifier(worker.id))
    }
  }

  private func standing(_ standing: StatisticsExport.Standing, _ xml: inout XMLWriter) {
    xml.element("total_credit", standing.credit.value)
    xml.element("expavg_credit", standing.average.value)
    xml.element("expavg_time", Double(standing.average.time.milliseconds) / 1000)
  }

  private func deleted(
    _ element: String, _ identifier: String, _ one: StatisticsExport.Deleted,
    _ xml: inout XMLWriter
  ) {
    xml.element(element) { xml in
      xml.element("id", one.number)
      xml.element(identifier, Self.identifier(one.key))
    }
  }

  /// MD5 in hexadecimal: BOINC's format asks for it, and nothing rests on it.
  private static func identifier(_ text: String) -> String {
    Insecure.MD5.hash(data: Data(text.utf8)).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }
}
