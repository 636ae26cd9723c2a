import TextParts

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension BoardHealth {
    /// Room on the disk, bytes written since the start, and wear where the card tells.
    func storage() -> [Quantity] {
        var quantities: [Quantity] = []
        // Memory: the path and `status` are borrowed for the call.
        var status = statvfs()
        if unsafe statvfs(diskPath, &status) == 0 {
            let block = Double(status.f_frsize)
            quantities.append(Quantity("disk_free", Double(status.f_bavail) * block, unit: "B"))
            quantities.append(Quantity("disk_total", Double(status.f_blocks) * block, unit: "B"))
            if status.f_files > 0 {
                quantities.append(Quantity("disk_files_free", Double(status.f_favail)))
            }
        }
        var written = 0.0
        var hasDisk = false
        for disk in files.names("/sys/block") where Self.isDisk(disk) {
            // Kernel documentation, "Block layer statistics": the seventh field counts sectors of 512 bytes written.
            let fields = files.text("/sys/block/\(disk)/stat")?.words() ?? []
            guard fields.count >= 7, let sectors = Double(fields[6]) else { continue }
            hasDisk = true
            written += sectors * 512
        }
        if hasDisk { quantities.append(Quantity("disk_written", written, unit: "B")) }
        return quantities + wear()
    }

    private static func isDisk(_ name: String) -> Bool {
        ["mmcblk", "sd", "nvme", "vd", "xvd"].contains { name.hasPrefix($0) } && !name.holds("boot")
    }

    /// JESD84-B51, §7.4.33: steps of ten percent of the life that was used, 11 for more; PRE_EOL_INFO 1 normal, 2 eight
    /// tenths of the reserve used, 3 nine. eMMC and some industrial cards tell it, ordinary SD cards do not.
    private func wear() -> [Quantity] {
        for disk in files.names("/sys/block") where disk.hasPrefix("mmcblk") && !disk.holds("boot") {
            let fields = files.text("/sys/block/\(disk)/device/life_time")?.words() ?? []
            let steps = fields.compactMap { Int($0.hasPrefix("0x") ? $0.dropFirst(2) : $0, radix: 16) }
            guard let most = steps.max(), most > 0 else { continue }
            var quantities = [Quantity("card_life_used", Double(min(most, 11) * 10), unit: "%")]
            if let reserve = files.word("/sys/block/\(disk)/device/pre_eol_info"),
                let step = Int(reserve.hasPrefix("0x") ? String(reserve.dropFirst(2)) : reserve, radix: 16), step > 0
            {
                quantities.append(Quantity("card_reserve_state", Double(step)))
            }
            return quantities
        }
        return []
    }
}
