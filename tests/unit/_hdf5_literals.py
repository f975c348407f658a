"""HDF5 files that h5py cannot make: made with libhdf5, compressed, in base 85."""

import zlib
from base64 import b85decode

__all__ = ["FILTERED_HEAP", "LITERALS"]


def _inflate(text: str) -> bytes:
    return zlib.decompress(b85decode("".join(text.split())))


LITERALS = {
    # Datasets whose dataspaces, datatypes and attributes are shared in heaps (`H5Pset_shared_mesg_index`).
    "shared_messages": _inflate("""
        c-rlnUr3Wt6u{5@?!Ik&EnH%P=7y<}4;4D7piI=}Trp8Lsjx^^DOtWbMI!>O9>VA)9X&{q5Qs(eP|rm#L70#aJw%8>lw=5jRA^w|z4zR?E&o
        i761u;k=ey^gd(XY+`#j8hzH5H3Z=;cIP`e!@MJOHHg}jID=LNQ=8oxKF<&N9!=i`4e(+todjCLAW#6|G<rRGp|T?IfIu<1QeXqwe(qIXD-d
        34HN3k+F>%3=ul)b0AnofafJy`rTHler`e4G7a)o$NOO{Y*F#F7gs#ouDnA$X-C}sn5ZM<-jsTAG_Z0<>^3329%k*Cxke#Hv=VgK)KkZ*t-*
        SzDByizKL&EGlx-)8YQ^<%^5s~MEh-X4uj1>37lef0bp&y+7DTK2S6MAD}H*W8$#8ALvVBQfQ>TEVGP1R(XM8$ILV(YfYI;YuJikmiHi3ZW=
        FXq4~P6{`E;8P*&`J9jgr@(Q2ej>g8o{bMKy5FYh_x9Qqew!2}Gvgm_+mxy;<T$io{uHN=LrbJ?MNA^p*R)0CvNMy6G)K_I(+@<qNSsxhevQ
        a^6cVbeJ>Co=msU<3uqz*nMIj&n$4XVv^5^*$+xDzewj}W%~Q9kA2{Zx2VYLoD~*U!WCohx+CgoQYcc(EZO)s95t5CES5E8mLqPd>uKKY5ZO
        a|)*w+XmOYAbj%|=Ao2s&Ms}9x#i1_N2kcs3swD1DN`&`bBrf4VWNK?<9LZMJ76bgkxp-?Ckf0|g0MwU;oG(ipaue;gC%ETgdnNlnSt)ea?&
        mp_kMI5TX_B8m)y%hkm)HIPN<P^%e6ltv-u_d1XH@So~_Sf~VG2)M0tByDx^sbYLzua3N6cLvX(KJSSW`z;I+x2WJIpV_@ruM#pUg1Rs4)Cn
        rn!hqHH8)=E^o2r|u~GtwQaH!28n5==;a&19kOZ)T2V_J84?k3!xj1;%=Qmd(E4ZAkv!~sZ=wPtB8ENc@up5P?J#7_HrPOB5WqN22x3o33ve
        ~edXkN)0A|lWFq#t=!CyybQS{IvT!kC{YRa<QZwp68Oh2pP4;yzm3hi9#!_zG!%Rzn$kYeT#nQ^w!zko{6-5yFcK&RC|gFZd2f{M#Q2g<`$&
        3r8u2Hv
    """),
    # Symbol tables and chunks with B-trees of unusual sizes (`H5Pset_sym_k`), in the superblock's extension.
    "btree_k_values": _inflate("""
        c-rlmy-or_6h`mNBH0kwAg(|NA;b_viP{(|Ou$f~Q432+EPMb9OG@p01WH>wAHm1qG3=0KW|aNRCM5nL`3}Y1oipq#WQKcpxbJn2a+yj-`@T
        3@?x1bLtv&5Og$GKssOj;(ZQBrE)}n)^gwvOlq#gxPYSwK=-W^OVkr&gUY}LB$HF86HCZ3;myHW26;4b-^HnAy${64+z;Yk!PVC`Ib@qVs-$
        HrY7_iVfx+ze#4E*6{5N$Y29#~r5U*N-HwA3~OC{kSYNO5=PtoP5)`XZ_=jnr1FH-m@1U2iK9yVeMSJpA*-%-L1zl^cxlI=L<}%+xB4)@7LZ
        m@iB=14vb5jD})fTOeED|m=}`r++FTx^IYO{7UZL(`)dY&bAOlzlkV^3hwpFI;qw9E{3L|)ldNKWx@Kx3<<3o|rId>8FSzJU>n~-?S2b5@ML
        Q+Yx%RX&t>!wO)^0CD&u@!}Jn+jWgb+fOxPDa<eyU$}(i>VI$$maMH24(w6nOZXN7CSZ@ILqq_zd_g_$+wXK9T@@9(*2r0ek^`2tEW~1YZPS
        244nW0bc=M1z!bU178DQ2VV!j1%3;B1AGJgHu&upoWIwxgb+dqA%qY@zJgj1ep7@HLI@#*5JJfR<qbDWnsN
    """),
    # A version 1 superblock, with an unusual size of the B-trees of chunks (`H5Pset_istore_k`).
    "superblock_1": _inflate("""
        c-rlj&r1S96vt;~)wb1SlO@C?BtklP=-07Jpy44(%0pM7qsRV<phJiLgpM6M_9t}oPv|HSArTSTZu>@ezO~drGvR$M&zaA2X7@SH%vrs<JLe
        P}DST{OxFQjJ65C=(pYV!iTl*7=lHxhViq!q`)8(mu-k;^Wyyju87G(DUJ<q)g<Eoep_1aD&h{x1kqqrx{Jl(%eaf9Nfu2<`{6|L7#?-N(QI
        ~t&^qV*H8^_w(UKU=RCh3^~E7}2~(`v+Ail7soKq&W}P(WU<GjG5=r05=r%?@^gG^P1G|Q7ln^+cEPlslAmp*THpKFbu<tl(=&Q_qAy~M>_U
        +&yl$L;eJ1@_4Ay`)DO?WX{}!~J?{D?!!ZZ<m#~sjO5^^Zqvh9E(tSooo;0`#1#M-i@Y+w~SW4Yy!mp~x<NI9v%l#}^CsKG{)`^PA?=B8sE*
        dot;1l2<!Kc7Kfrsr#^uWX4O+16ofPVp>1^)`(1^)&<2mT$rhXpK}egU)sp9h}+UjUy1Uj%Q1UjpxdFM-d1Uk0BAzXIL`Uk0Cp2QI@tz%UHM
        Fbu;m4D(mWU-AKclc*p
    """),
}

# A group whose fractal heap of links is compressed (`H5Pset_deflate` on its creation properties).
FILTERED_HEAP = _inflate("""
    c-rgqaB<`1lHy|K;9!7(|4_is1K}G$#k-|E%>6xFf|wX8n1qlO!T=W&10w?in*allVofi~FD=*%Gt-5ED&WP+l@4GhD3tMYWFzA_5X-q07#J
    BDA&MCpIDnXuAtf~}C$S`zfemU1#PPq`A-tt9k4G@j45)caa}p79v~<GJohQ}|0w=fy2fH$yh6XvKF$2R{kfjEW4t)6a4g#l>t9J-Hebhsv9
    vbz~F!hjIkVgOmI|B~`6N3N)M&)k|<-^Kqpej@v3b=^0kp)R7q<#k0)C>!_VPg46YMB@r!4)^C!Y=3N<Z=q}aA9Bt=?5uK(U9eY*$uP(?y);
    ;ZoxoR48|ySAZUa;0vIZQcEe-}pstc)K&3ls4?S`U@o{5dy`uDvfng?4NQdEa)>j9Hk6`AEE3;x4JQ+buw}v%I46<Nm^0}OJhNEBw`oSw|7(
    ~I$closw863gPrAE6CGL(YV&OCqb5W_++^WO7g*BNrb3grCe*)WWPK>-FqCasuL{JEeo>Bre~4D3d3$LARvX{c!}5q~;eOk+y=v=j{$EfLje
    DNDpOpFDZKRQrkQvt?QmDTYp0gcn}>p!+eaH_SkA?KO*;Gc&fTsp+_^Hcd@cjaqxt^wHH>`svD1Yh78bFJ|ec?vy;i%J6VUogx6;*J}y
""")
